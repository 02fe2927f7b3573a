"""A full disk, or a quota used up, is said in one sentence; nothing is left of what could not be written."""

import errno
import os
from pathlib import Path

import pytest

from mmgcvit.commands.convert_checkpoint import write
from mmgcvit.commands.screen import ended_in_a_few_lines
from mmgcvit.errors import UserError, full_disk_in_a_sentence
from mmgcvit.files import replaced_whole


def fail(number, *_):
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT])
def test_a_run_says_what_is_full_and_how_to_go_on_with_and_without_a_log(number, tmp_path):
    for inner in (full_disk_in_a_sentence('w'), ended_in_a_few_lines(tmp_path / 'log')):
        with pytest.raises(SystemExit) as error, full_disk_in_a_sentence('w'), inner:
            fail(number)
        assert str(error.value).startswith(f'{os.strerror(number)}: the run could not write')
        assert '--resume' in str(error.value)
        assert '\n' not in str(error.value)


def test_other_errors_of_the_system_are_left_as_they_are():
    with pytest.raises(PermissionError), full_disk_in_a_sentence('w'):
        fail(errno.EACCES)


def test_a_data_set_that_could_not_be_written_leaves_nothing_and_what_was_there(tmp_path):
    out = tmp_path / 'digits'
    out.mkdir()

    def make():
        with replaced_whole(out, 'options.json', {}) as folder:
            (folder / 'picture.jpg').touch()
            fail(errno.ENOSPC)

    with pytest.raises(UserError, match=r'digits could not be written: .*No space left.*Make room'):
        make()
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_checkpoint_that_could_not_be_written_leaves_no_half(suffix, tmp_path, monkeypatch):
    def fill(content, path, metadata=None):
        Path(path).touch()
        raise RuntimeError('unexpected pos 64 vs 0\nand lines of C++')

    monkeypatch.setattr('torch.save', fill)
    monkeypatch.setattr('safetensors.torch.save_file', fill)
    with pytest.raises(SystemExit, match=r'could not be written \(unexpected pos 64 vs 0\); is there room') as error:
        write({'state_dict': {}}, tmp_path / f'x{suffix}')
    assert '\n' not in str(error.value)
    assert not list(tmp_path.iterdir())
