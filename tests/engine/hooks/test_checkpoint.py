"""Checkpoints are written atomically, whenever a run is killed and whatever write fails."""

import errno
import json
import os
from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook

from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.engine.hooks.checkpoint import AtomicBackend, AtomicCheckpointHook
from mmgcvit.errors import UserError
from mmgcvit.runs.folder import RunFolder

from ...moments import list_states, read_files, restore
from ...toy import CONFIG, ITERATIONS, last, names, train, train_in_two
from ..random_training import EPOCHS, PARTS, SignalHook, assert_same, make_config, run

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


@pytest.mark.slow
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


BEST = 'best_score_epoch_2.pth'


@pytest.mark.parametrize(
    ('info', 'last', 'kept'),
    [
        ({}, None, set()),
        ({'keep_ckpt_ids': [2]}, None, {'epoch_2.pth'}),
        ({'best_ckpt': f'run/{BEST}'}, None, {BEST}),
        ({'best_ckpt_mIoU': f'run/{BEST}', 'best_ckpt_mFscore': None}, None, {BEST}),
        ({'last_ckpt': 'run/epoch_1.pth'}, 'run/epoch_1.pth', {'epoch_1.pth'}),
    ],
)
def test_outdated_files_go_unless_they_were_written_again_or_are_the_last(
    info, last, kept, tmp_path
):
    hook = AtomicCheckpointHook()
    hook.out_dir, hook.filename_tmpl, hook.last_ckpt = str(tmp_path), 'epoch_{}.pth', last
    hook.file_backend = AtomicBackend()
    for name in ('epoch_1.pth', 'epoch_2.pth', BEST):
        (tmp_path / name).touch()
        hook.file_backend.remove(str(tmp_path / name))
    hook.remove_outdated(mock.Mock(message_hub=mock.Mock(runtime_info=info)))
    assert {path.name for path in tmp_path.iterdir()} == kept
    assert hook.file_backend.outdated == (kept if last else set())


@pytest.mark.parametrize('is_saved', [False, True])
def test_a_checkpoint_by_time_has_the_parts_that_all_have(is_saved, tmp_path):
    options = {'save_optimizer': is_saved, 'save_param_scheduler': is_saved}
    cfg = make_config(tmp_path, EPOCHS | {'max_epochs': 1}, saves=None)
    cfg.default_hooks.checkpoint.update(time_interval=0, **options)
    parts = {}

    class PartsHook(Hook):
        def before_train_iter(self, runner, **_):
            for path in tmp_path.glob('*.pth'):
                parts[path.name] = {*read_checkpoint(path)}

    run(cfg, PartsHook())
    parts['epoch_1.pth'] = {*last(tmp_path)}
    assert 'iter_1.pth' in parts
    for found in parts.values():
        assert ('optimizer' in found, 'param_schedulers' in found) == (is_saved, is_saved)


def test_a_misspelt_score_is_compared_with_those_of_the_first_validation(tmp_path):
    """The run goes on with this validation once the name is right."""
    cfg = make_config(tmp_path, EPOCHS, saves=None, get_score=lambda: 0.5)
    cfg.default_hooks.checkpoint.save_best = 'toy/map'
    with pytest.raises(UserError) as raised:
        run(cfg)
    assert str(raised.value) == (
        "save_best='toy/map': the validation has no such score; did you mean toy/mAP? It has "
        'toy/mAP. Set default_hooks.checkpoint.save_best to one of them, and resume the run'
    )
    assert last(tmp_path)['meta']['epoch'] == 1
    run(make_config(tmp_path, EPOCHS, saves=None, get_score=lambda: 0.5, resume=True))
    assert last(tmp_path)['meta']['epoch'] == 3
    assert 'best_toy_mAP_epoch_3.pth' in names(tmp_path)


def test_a_resumed_run_removes_what_a_killed_one_has_left_and_no_other_files(tmp_path):
    """It was killed before it removed the checkpoint that the last one replaces."""
    options = {'loop': EPOCHS, 'saves': None}
    cfg = make_config(tmp_path, **options)
    cfg.default_hooks.checkpoint.update(time_interval=0)
    run(cfg, SignalHook(3))
    assert names(tmp_path) == ['iter_3.pth', 'last_checkpoint']
    for name in ('iter_2.pth', 'epoch_77.pth', 'iter_4.pth.01234567.unfinished'):
        (tmp_path / name).touch()
    run(make_config(tmp_path, resume=True, **options))
    assert names(tmp_path) == ['epoch_3.pth', 'epoch_77.pth', 'last_checkpoint']
