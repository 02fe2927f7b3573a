"""Checkpoints are written atomically, whenever a run is killed and whatever write fails."""

import errno
import json
import os
from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config

from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.runs import RunFolder

from ...moments import list_states, read_files, restore
from ...toy import CONFIG, ITERATIONS, last, names, train, train_in_two
from ..random_training import PARTS, assert_same

SETTINGS = {
    'epochs': ['train_cfg.max_epochs=3', 'train_dataloader.batch_size=1'],
    'iterations': ITERATIONS,
}


def read_result(work_dir):
    """Return what a run leaves: the last and best checkpoints, and the scores by step."""
    # last_checkpoint is empty if the run was killed when it was opened.
    content = RunFolder(work_dir).read_latest_checkpoint().content
    best = RunFolder(work_dir).read_best_checkpoint()
    info = content['message_hub']['runtime_info']
    meta = content['meta']
    scores = {}
    for file in sorted(work_dir.glob('*/vis_data/*.json')):
        for line in map(json.loads, file.open()):
            if 'score' in line:
                scores[line['step']] = line['score']
    return {
        **{name: content[name] for name in PARTS},
        'position': [meta['epoch'], meta['iter'], meta['data_position']],
        'best': [Path(best.source).name, Path(info['best_ckpt']).name, info['best_score']],
        'files': names(work_dir),
        'weights of the best': best.content['state_dict'],
        'scores': scores,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ('settings', 'step'),
    [('epochs', 6), *(pytest.param(name, 1, marks=pytest.mark.long) for name in SETTINGS)],
)
def test_a_run_killed_at_any_moment_ends_as_an_uninterrupted_one(settings, step, tmp_path):
    """Also if it is killed in a start, and then in a resumed session at any moment; in make test
    every sixth one.
    """
    settings = SETTINGS[settings]
    folder = tmp_path / 'run'
    command = ['train', CONFIG, '--resume', '--cfg-options', *settings, '--work-dir', folder]
    states = list_states(folder, tmp_path / 'states', *command)
    expected = read_result(folder)
    assert min(len(states) // 5, len({*expected['scores'].values()})) > 2, 'files and scores change'
    restore(states[len(states) // 3], folder)
    states += list_states(folder, tmp_path / 'resumed', *command)[::8]
    for state in states[::step]:
        restore(state, folder)
        (folder / 'epoch_9.pth.01234567.unfinished').touch()
        train(folder, '--resume', settings=settings)
        assert_same(read_result(folder), expected)
        assert not list(folder.glob('*.unfinished'))


def read_rate(folder):
    """Return the learning rate of the run that a work dir's config and all its checkpoints belong
    to, if any.
    """
    wrappers = [Config.fromfile(path).optim_wrapper for path in folder.glob('*config.py')]
    for path in folder.glob('*.pth'):
        wrappers.append(read_checkpoint(path)['meta']['settings']['optim_wrapper'])
    (rate,) = {wrapper['optimizer']['lr'] for wrapper in wrappers} or {None}
    return rate


@pytest.mark.slow
def test_a_killed_run_that_overwrites_another_leaves_files_of_one_of_them(tmp_path):
    """Nothing of the earlier run is lost before the first iteration. After it, no file of it is
    left, and all others are. The earlier config has another name. A file of the user is like it.
    """
    folder = tmp_path / 'run'
    train(folder, settings=['optim_wrapper.optimizer.lr=0.01'])
    (folder / CONFIG.name).rename(folder / 'earlier_config.py')
    (logs,) = folder.glob('[0-9]*')
    logs.rename(folder / '20260101_000000')  # two runs may start in the same second
    for name in ('score_thr.json', 'mine.py', 'val_images/mine.jpg', 'val_images/epoch_7.jpg'):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'# caf\xe9')  # not UTF-8
    (folder / 'folder.py').mkdir()
    before = read_files(folder)
    again = ['--overwrite', '--cfg-options', 'optim_wrapper.optimizer.lr=0.02']
    states = list_states(folder, tmp_path / 'states', 'train', CONFIG, '--work-dir', folder, *again)
    assert read_files(states[0]) == before
    rates = [read_rate(state) for state in [*states, folder]]
    assert rates == sorted(rates, key=[0.01, None, 0.02].index)
    assert {0.01, 0.02} <= {*rates}
    kept = {'toy_config.py', 'mine.py', 'val_images/mine.jpg'}
    left = {name for name in read_files(folder) if name.endswith(('.py', '.json', '.jpg'))}
    assert {name for name in left if 'vis_data' not in name} == kept
    first_without_config = len(rates) - rates[::-1].index(0.01)
    restore(states[first_without_config], folder)
    train(folder, *again)
    assert read_rate(folder) == 0.02


def test_two_ranks_keep_max_keep_ckpts_and_the_best_checkpoint(tmp_path):
    """A resumed run removes no files but its own."""
    train_in_two(tmp_path, settings=['train_cfg.max_epochs=2'])
    others = ['best_score_epoch_0.pth', 'epoch_0.pth']
    for name in others:
        (tmp_path / name).touch()
    train_in_two(tmp_path, '--resume')
    best = Path(RunFolder(tmp_path).read_best_checkpoint().source).name
    assert names(tmp_path) == sorted([*others, best, 'epoch_3.pth', 'last_checkpoint'])
    assert best.startswith('best_score_epoch_')
    assert (last(tmp_path)['meta']['epoch'], last(tmp_path)['meta']['iter']) == (3, 3)


def test_a_failed_save_keeps_the_previous_checkpoint_and_the_error_names_the_cause(
    tmp_path, monkeypatch, call
):
    # The first epoch saves three files: its checkpoint, the best one, and its checkpoint again with
    # the best score. The validation writes a fourth. Then the disk is full.
    full_disk = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr('os.fsync', mock.Mock(side_effect=[None] * 4 + [full_disk] * 9))
    assert (
        'train: No space left on device. Free some disk space'
        in call('train', CONFIG, '--work-dir', tmp_path)[1]
    )
    assert names(tmp_path) == ['best_score_epoch_1.pth', 'epoch_1.pth', 'last_checkpoint']
    assert last(tmp_path)['meta']['epoch'] == 1
