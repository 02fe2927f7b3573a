"""A folder that a run cannot write to is named before the run begins."""

import errno
import os

import pytest

from mmgcvit.commands.work_dir import make_work_dir
from mmgcvit.errors import UserError


def test_it_is_made_with_those_above_it_and_may_be_there(tmp_path):
    for _ in range(2):
        make_work_dir(str(tmp_path / 'a' / 'b'))
    assert (tmp_path / 'a' / 'b').is_dir()


def test_a_file_in_its_place_or_above_it_is_refused(tmp_path):
    (tmp_path / 'file').touch()
    for place in ('file', 'file/run'):
        with pytest.raises(UserError, match=rf'the work dir {tmp_path}/{place} cannot be used \(.*\).*--work-dir'):
            make_work_dir(str(tmp_path / place))


def test_one_that_is_not_writable_is_refused(tmp_path, monkeypatch):
    """Whoever runs the tests may write anywhere, so the system's answer is given."""

    def refuse(dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr('tempfile.TemporaryDirectory', refuse)
    with pytest.raises(UserError, match='is not writable'):
        make_work_dir(str(tmp_path))
