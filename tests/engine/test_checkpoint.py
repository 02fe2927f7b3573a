"""Checkpoints are written atomically, whenever a run is killed and whatever write fails."""

import errno
import json
import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.checkpoints.reading import check_intact, read_checkpoint
from mmgcvit.checkpoints.safe_loading import read_latest_checkpoint

from ..programs import get_tail
from .calling import CONFIG, call, restored_process  # noqa: F401
from .drawing import find_difference
from .toy import ITERATIONS, KILLED, last, names, start, train, train_in_two

PARTS = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')
SETTINGS = {'epochs': ['train_cfg.max_epochs=5', 'train_dataloader.batch_size=1'], 'iterations': ITERATIONS}


def read_result(work_dir):
    """Return everything that a run leaves: the last and best checkpoints, and the scores by step."""
    content, best = last(work_dir), Path(read_latest_checkpoint(work_dir, prefer_best=True).source)
    check_intact(best)
    info = content['message_hub']['runtime_info']
    lines = [json.loads(line) for file in sorted(work_dir.glob('*/vis_data/*.json')) for line in file.open()]
    return {
        **{name: content[name] for name in PARTS},
        'position': [content['meta'][name] for name in ('epoch', 'iter', 'data_position')],
        'best': [best.name, Path(info['best_ckpt']).name, info['best_score']],
        'weights of the best': read_checkpoint(best)['state_dict'],
        'scores': {line['step']: line['score'] for line in lines if 'score' in line},
    }


@pytest.fixture(scope='module', params=SETTINGS)
def settings_and_result(request, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole') / 'run'
    train(work_dir, settings=SETTINGS[request.param])
    result = read_result(work_dir)
    assert len({*result['scores'].values()}) > 2, 'scores change'
    return SETTINGS[request.param], result


@pytest.mark.slow
@settings(max_examples=6)
@given(moments=st.lists(st.integers(1, 130), min_size=1, max_size=3))
def test_a_run_killed_at_any_moments_ends_as_an_uninterrupted_one(moments, settings_and_result, tmp_path_factory):
    """Moments are calls of hooks, validation included, and operations on files."""
    folder, (settings, expected) = tmp_path_factory.mktemp('killed') / 'run', settings_and_result
    for moment in moments:
        ended = start(folder, '--resume', settings=settings, KILL_AT=str(moment))
        assert ended.returncode in (0, KILLED), get_tail(ended.stdout, ended.stderr)
    train(folder, '--resume', settings=settings)
    assert find_difference(read_result(folder), expected) is None
    assert not list(folder.glob('*.unfinished'))


@pytest.mark.parametrize('run', [train, train_in_two])
def test_a_run_keeps_max_keep_ckpts_and_the_best_checkpoint(run, tmp_path):
    run(tmp_path)
    best = Path(read_latest_checkpoint(tmp_path, prefer_best=True).source).name
    assert names(tmp_path) == [best, 'epoch_3.pth', 'last_checkpoint']
    assert best.startswith('best_score_epoch_')
    assert (last(tmp_path)['meta']['epoch'], last(tmp_path)['meta']['iter']) == (3, 3)


@pytest.mark.usefixtures('restored_process')
def test_a_failed_save_keeps_the_previous_checkpoint_and_the_error_names_the_cause(tmp_path, monkeypatch):
    # The first epoch saves three files: its checkpoint, the best one, and its checkpoint again with the best score.
    # The validation writes a fourth. Then the disk is full.
    full_disk = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr('os.fsync', mock.Mock(side_effect=[None] * 4 + [full_disk] * 9))
    message = call('train', CONFIG, '--work-dir', tmp_path)
    assert message.startswith('train: No space left on device. Free some disk space')
    assert names(tmp_path) == ['best_score_epoch_1.pth', 'epoch_1.pth', 'last_checkpoint']
    assert last(Path(tmp_path))['meta']['epoch'] == 1
