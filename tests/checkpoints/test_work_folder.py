"""Only a run's checkpoints count as such, and only what lies in its folder is removed."""

import pytest

from mmgcvit.checkpoints import CheckpointError
from mmgcvit.checkpoints.work_folder import checkpoints_in, refuse_used, remove, remove_set_aside, set_aside


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'run').mkdir()
    return tmp_path / 'run'


def test_what_counts_as_a_runs_checkpoints(folder):
    ours = ['best_coco_bbox_mAP_epoch_3.pth', 'epoch_12.pth', 'iter_9.pth', 'last_checkpoint']
    for name in [*ours, 'weights.pth', 'epoch_1.pth.unfinished', 'my_epoch_1.pth', 'epoch_x.pth', 'log.json']:
        (folder / name).touch()
    assert [path.name for path in checkpoints_in(folder)] == ours
    assert checkpoints_in(folder / 'nowhere') == []


def test_an_unused_folder_is_not_refused_and_of_many_checkpoints_three_are_named(folder):
    refuse_used(folder, [])
    with pytest.raises(CheckpointError, match=r'\(epoch_1\.pth, epoch_2\.pth, epoch_3\.pth, \.\.\.\)'):
        refuse_used(folder, [folder / f'epoch_{number}.pth' for number in range(1, 9)])


def test_what_is_set_aside_replaces_what_was_before(folder):
    for content in ('first', 'second'):
        (folder / 'epoch_1.pth').write_text(content)
        (folder / 'epoch_2.pth').mkdir()
        (folder / 'epoch_2.pth' / 'rank0.pth').write_text(content)
        set_aside(checkpoints_in(folder), folder)
        assert checkpoints_in(folder) == []
        assert (folder / 'overwritten' / 'epoch_1.pth').read_text() == content
        assert (folder / 'overwritten' / 'epoch_2.pth' / 'rank0.pth').read_text() == content
    remove_set_aside(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize('name', ['../best_x_epoch_1.pth', '../other/best_x_epoch_1.pth', 'inner/../../other/x.pth'])
def test_nothing_outside_of_a_folder_is_removed(name, folder):
    (folder / 'inner').mkdir()
    (folder.parent / 'other').mkdir()
    (folder / name).write_text('precious')
    remove(folder / name, folder)
    remove((folder / name).resolve(), folder)
    assert (folder / name).read_text() == 'precious'


def test_of_a_link_only_the_link_is_removed(folder):
    (folder.parent / 'other').mkdir()
    (folder.parent / 'other' / 'x').touch()
    (folder / 'epoch_1.pth').symlink_to(folder.parent / 'other')
    remove(folder / 'epoch_1.pth', folder)
    assert not (folder / 'epoch_1.pth').is_symlink()
    assert (folder.parent / 'other' / 'x').is_file()


def test_what_is_gone_already_is_no_error(folder):
    remove(folder / 'epoch_1.pth', folder)
