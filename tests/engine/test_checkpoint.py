"""Checkpoints are written atomically, whenever a run is killed and whatever write fails."""

import errno
import os
from pathlib import Path

import pytest

from mmgcvit.checkpoints import check_intact
from mmgcvit.engine.resume import find_latest_checkpoint

from .calling import CONFIG, call, restored_process  # noqa: F401
from .toy import KILLED, last, names, train, train_in_two

FINAL_FILES = ['best_score_epoch_3.pth', 'epoch_3.pth', 'last_checkpoint']
# Audit events of the second epoch, in order, in a run that keeps one checkpoint and the best one.
AUDIT_EVENTS = [
    'open epoch_2.pth.unfinished',
    'os.rename epoch_2.pth.unfinished',
    'open last_checkpoint',
    'os.remove epoch_1.pth',
    'open best_score_epoch_2.pth.unfinished',
    'os.rename best_score_epoch_2.pth.unfinished',
    'os.remove best_score_epoch_1.pth',
]


@pytest.mark.slow
@pytest.mark.parametrize('event', AUDIT_EVENTS)
def test_a_run_killed_at_any_moment_keeps_intact_last_and_best_checkpoints_and_resumes(event, tmp_path):
    train(tmp_path, code=KILLED, KILL_AT=event)
    for path in tmp_path.glob('*.pth'):
        check_intact(path)
    assert find_latest_checkpoint(tmp_path) is not None
    assert list(tmp_path.glob('best_score_epoch_*.pth'))
    train(tmp_path, '--resume')
    assert last(tmp_path)['meta']['epoch'] == 3
    assert not list(tmp_path.glob('*.unfinished'))
    assert set(FINAL_FILES) <= set(names(tmp_path))


@pytest.mark.parametrize('run', [train, train_in_two])
def test_a_run_keeps_max_keep_ckpts_and_the_best_checkpoint_and_saves_the_right_epoch(run, tmp_path):
    run(tmp_path)
    assert names(tmp_path) == FINAL_FILES
    assert (last(tmp_path)['meta']['epoch'], last(tmp_path)['meta']['iter']) == (3, 3)


def fill_disk_after(num_files, monkeypatch):
    """Simulate a full disk after this number of files."""
    descriptors = []

    def fsync(descriptor):
        descriptors.append(descriptor)
        if len(descriptors) > num_files:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('mmgcvit.engine.hooks.checkpoint.os.fsync', fsync)


@pytest.mark.usefixtures('restored_process')
def test_a_failed_save_keeps_the_previous_checkpoint_and_the_error_names_the_cause(tmp_path, monkeypatch):
    # The first epoch saves three files: its checkpoint, the best one, and its checkpoint again with the best score.
    fill_disk_after(3, monkeypatch)
    message = call('train', CONFIG, '--work-dir', tmp_path)
    assert message.startswith('train: No space left on device: the run could not write')
    assert names(tmp_path) == ['best_score_epoch_1.pth', 'epoch_1.pth', 'last_checkpoint']
    assert last(Path(tmp_path))['meta']['epoch'] == 1
