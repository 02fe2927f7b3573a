"""A checkpoint is whole or not there, whenever a run is killed and whatever fails while it is written."""

import errno
import os
from pathlib import Path

import pytest

from mmgcvit.checkpoints import check_intact
from mmgcvit.engine.resume import find_latest_checkpoint

from .calling import CONFIG, as_before, call  # noqa: F401
from .toy import KILLED, last, names, train, train_in_two

DONE = ['best_score_epoch_3.pth', 'epoch_3.pth', 'last_checkpoint']
# In the second epoch of a run that keeps one checkpoint and the best, in the order in which they come.
MOMENTS = [
    'open epoch_2.pth.unfinished',
    'os.rename epoch_2.pth.unfinished',
    'open last_checkpoint',
    'os.remove epoch_1.pth',
    'open best_score_epoch_2.pth.unfinished',
    'os.rename best_score_epoch_2.pth.unfinished',
    'os.remove best_score_epoch_1.pth',
]


@pytest.mark.slow
@pytest.mark.parametrize('moment', MOMENTS)
def test_killed_at_any_moment_a_run_leaves_a_whole_last_and_best_one_and_goes_on(moment, tmp_path):
    train(tmp_path, code=KILLED, DIES_AT=moment)
    for path in tmp_path.glob('*.pth'):
        check_intact(path)
    assert find_latest_checkpoint(tmp_path) is not None
    assert list(tmp_path.glob('best_score_epoch_*.pth'))
    train(tmp_path, '--resume')
    assert last(tmp_path)['meta']['epoch'] == 3
    assert not list(tmp_path.glob('*.unfinished'))
    assert set(DONE) <= set(names(tmp_path))


@pytest.mark.parametrize('run', [train, train_in_two])
def test_a_run_keeps_as_many_as_it_should_and_the_best_and_counts_epochs_as_they_are(run, tmp_path):
    run(tmp_path)
    assert names(tmp_path) == DONE
    assert (last(tmp_path)['meta']['epoch'], last(tmp_path)['meta']['iter']) == (3, 3)


def refuse_after(writings, monkeypatch):
    """Have the disk be full after so many files."""
    flushed = []

    def fsync(descriptor):
        flushed.append(descriptor)
        if len(flushed) > writings:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('mmgcvit.engine.hooks.checkpoint.os.fsync', fsync)


@pytest.mark.usefixtures('as_before')
def test_a_failed_save_leaves_the_previous_checkpoint_and_names_the_cause(tmp_path, monkeypatch):
    # Of the first epoch one, the best, and the one again that knows of the best.
    refuse_after(3, monkeypatch)
    said = call('train', CONFIG, '--work-dir', tmp_path)
    assert said.startswith('train: No space left on device: the run could not write')
    assert names(tmp_path) == ['best_score_epoch_1.pth', 'epoch_1.pth', 'last_checkpoint']
    assert last(Path(tmp_path))['meta']['epoch'] == 1
