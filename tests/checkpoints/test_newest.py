"""The newest checkpoint of a work folder that is whole is found, and damaged ones are named."""

import os
from pathlib import Path

import pytest
import torch

from mmgcvit.checkpoints import newest_whole_checkpoint, save_whole


@pytest.fixture
def run(tmp_path):
    """Writes checkpoints by name, one second after the other, and with ``last`` what was written last."""
    seconds = iter(range(1_000_000_000, 2_000_000_000))

    def write(*names, last=None):
        for name in names:
            save_whole({'name': name}, tmp_path / name)
            os.utime(tmp_path / name, (second := next(seconds), second))
        if last is not None:
            (tmp_path / 'last_checkpoint').write_text(str(tmp_path / last))
            os.utime(tmp_path / 'last_checkpoint', (second := next(seconds), second))
        return tmp_path

    return write


def newest(folder):
    found = newest_whole_checkpoint(folder)
    return found.path and found.path.name


def test_numbers_count_not_letters(run):
    assert newest(run('epoch_9.pth', 'epoch_10.pth', last='epoch_10.pth')) == 'epoch_10.pth'


def test_a_copied_folder_is_read_by_its_numbers(run):
    """Copies have the order of their names."""
    assert newest(run('epoch_10.pth', 'epoch_9.pth')) == 'epoch_10.pth'


def test_without_last_checkpoint(run):
    assert newest(run('iter_500.pth', 'iter_1000.pth')) == 'iter_1000.pth'


def test_killed_between_a_checkpoint_and_its_name(run):
    folder = run('epoch_1.pth', 'epoch_2.pth', last='epoch_2.pth')
    assert newest(run('epoch_3.pth')) == 'epoch_3.pth'
    assert folder.is_dir()


def test_a_longer_run_before_in_the_same_folder_comes_last(run):
    run('epoch_35.pth', 'epoch_36.pth', last='epoch_36.pth')
    assert newest(run('epoch_1.pth', 'epoch_2.pth', last='epoch_2.pth')) == 'epoch_2.pth'


def test_the_kind_of_the_last_one_comes_first(run):
    run('iter_9000.pth', last='iter_9000.pth')
    assert newest(run('epoch_1.pth', last='epoch_1.pth')) == 'epoch_1.pth'


class TestOfARunThatCountsEpochsAndHasEndedWithinOne:
    @pytest.fixture
    def folder(self, run, tmp_path):
        """After ten iterations an epoch; the early end's file was written last."""
        for name, iterations in (('epoch_1.pth', 10), ('epoch_3.pth', 30), ('iter_25.pth', 25), ('iter_35.pth', 35)):
            save_whole({'meta': {'iter': iterations}, 'state_dict': {'weight': torch.ones(2)}}, tmp_path / name)
        return run(last='iter_35.pth')

    def test_that_of_most_iterations_is_the_newest(self, folder):
        assert newest(folder) == 'iter_35.pth'

    def test_killed_before_the_next_epochs_was_named_that_is(self, folder):
        save_whole({'meta': {'iter': 40}}, folder / 'epoch_4.pth')
        assert newest(folder) == 'epoch_4.pth'

    def test_behind_a_damaged_one_the_order_is_the_same(self, folder):
        for name in ('iter_35.pth', 'epoch_3.pth'):
            os.truncate(folder / name, 500)
        assert newest(folder) == 'iter_25.pth'

    def test_without_last_checkpoint_too(self, folder):
        (folder / 'last_checkpoint').unlink()
        assert newest(folder) == 'iter_35.pth'


def test_a_last_checkpoint_that_is_gone(run):
    folder = run('epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth', last='epoch_3.pth')
    (folder / 'epoch_3.pth').unlink()
    assert newest(folder) == 'epoch_2.pth'


@pytest.mark.parametrize('content', [b'', b'\xff\xfe', b'nonsense', b'/elsewhere/best.pth', b'../epoch_x.pth'])
def test_a_last_checkpoint_that_names_nothing(run, content):
    folder = run('epoch_1.pth', 'epoch_2.pth')
    (folder / 'last_checkpoint').write_bytes(content)
    assert newest(folder) == 'epoch_2.pth'


def test_damaged_ones_are_passed_over_and_named_in_one_line(run):
    folder = run('epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth', last='epoch_3.pth')
    os.truncate(folder / 'epoch_3.pth', 500)
    (folder / 'epoch_2.pth').write_bytes(b'')
    found = newest_whole_checkpoint(folder)
    assert found.path == folder / 'epoch_1.pth'
    assert 'damaged' in found.damaged[folder / 'epoch_3.pth']
    assert 'empty' in found.damaged[folder / 'epoch_2.pth']
    assert str(found) == (
        f'the newest whole checkpoint is {folder / "epoch_1.pth"}; passed over, damaged: {folder / "epoch_3.pth"}, '
        f'{folder / "epoch_2.pth"}'
    )


def test_best_ones_and_others_are_none_to_resume(run):
    folder = run('best_a_epoch_3.pth', 'epoch_3.pth.unfinished', 'my_epoch_3.pth')
    (folder / 'epoch_4.pth').mkdir()
    found = newest_whole_checkpoint(folder)
    assert (found.path, found.damaged) == (None, {})
    assert str(found) == 'there is no whole checkpoint'


def test_no_folder_has_none(tmp_path):
    assert newest_whole_checkpoint(tmp_path / 'nowhere').path is None


def test_what_the_disk_cannot_give_is_passed_over_and_named(run):
    folder = run('epoch_1.pth', last='epoch_1.pth')
    # Of whose first bytes the system says EIO, as of a bad sector.
    (folder / 'epoch_2.pth').symlink_to('/proc/self/mem')
    found = newest_whole_checkpoint(folder)
    assert (found.path.name, [path.name for path in found.damaged]) == ('epoch_1.pth', ['epoch_2.pth'])


def test_a_checkpoint_that_is_removed_meanwhile_is_none(run, monkeypatch):
    folder = run('epoch_1.pth', 'epoch_2.pth')
    is_file = Path.is_file

    def removed_after(path):
        found = is_file(path)
        if path.name == 'epoch_2.pth':
            path.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, 'is_file', removed_after)
    assert newest(folder) == 'epoch_1.pth'
