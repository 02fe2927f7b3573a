"""mmengine loads checkpoints without running code or configs from them, or deleting files that they
name.
"""

import pickle
from contextlib import nullcontext
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, Runner

from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.checkpoints.safe_loading import read_for_mmengine, safe_checkpoint_loading
from mmgcvit.engine.hooks.checkpoint import SafeLoadHook
from mmgcvit.errors import CheckpointError

from ..toy import CONFIG, RunsACommand

NUMBERS = count()
WEIGHTS = {'a': torch.ones(1)}


@pytest.fixture
def file(tmp_path):
    return tmp_path / 'x.pth'


@pytest.mark.parametrize('command', [nullcontext, safe_checkpoint_loading])
def test_the_hook_covers_a_run_also_within_a_commands_context(command):
    """Files and URLs are covered, and mmengine's loaders are restored."""
    runner = SimpleNamespace(work_dir='run')
    hook = SafeLoadHook()
    schemes = dict(CheckpointLoader._schemes)
    with command():
        before = dict(CheckpointLoader._schemes)
        hook.before_run(runner)
        for name in ('x.pth', 'https://somewhere/x.pth'):
            loader = CheckpointLoader._get_checkpoint_loader(name)
            assert loader.__module__ == 'mmgcvit.checkpoints.safe_loading'
        hook.after_run(runner)
        assert before == CheckpointLoader._schemes
    assert schemes == CheckpointLoader._schemes


def test_a_pickled_checkpoint_names_its_file_which_other_ranks_read(file):
    best = str(file.with_name('best_a.pth'))
    content = {'state_dict': {'a': torch.ones(9999)}, 'optimizer': {}, 'meta': {'best_ckpt': best}}
    torch.save(content, file)
    sent = pickle.dumps(read_for_mmengine(str(file), file.parent, is_resumed=False))
    assert len(sent) < 999
    received = pickle.loads(sent)
    assert (received.source, received.content['meta']) == (str(file), {'best_ckpt': best})
    assert 'optimizer' not in received.content


@pytest.mark.parametrize('state', [{}, {'scale': 2.0}])
def test_a_checkpoint_of_bfloat16_resumes_in_float16(state, file):
    """Its loss scaler has no state, which GradScaler rejects."""
    torch.save({'state_dict': WEIGHTS, 'optimizer': {'loss_scaler': state}}, file)
    optimizer = read_for_mmengine(str(file)).content['optimizer']
    assert optimizer == ({'loss_scaler': state} if state else {})


def test_weights_are_found_under_the_usual_keys_and_files_of_strategies_need_none(file):
    for content in (WEIGHTS, {'model': WEIGHTS}, {'state_dict': WEIGHTS, 'meta': {}}):
        torch.save(content, file)
        assert read_for_mmengine(str(file)).content['state_dict'] == WEIGHTS
    torch.save({'epoch': 3}, file)
    assert read_for_mmengine(str(file)).content['epoch'] == 3
    torch.save([1], file)
    with pytest.raises(CheckpointError, match='has no weights'):
        read_for_mmengine(str(file))


def read_runtime_info(file, work_dir=None, **entries):
    """Return the runtime info that mmengine gets from a checkpoint with these entries."""
    hub = {
        'log_scalars': {'loss': HistoryBuffer([1.0], [1])},
        'runtime_info': {'cfg': 'import os', 'epoch': 1, **entries},
    }
    torch.save({'state_dict': WEIGHTS, 'message_hub': hub}, file)
    hub = read_for_mmengine(str(file), work_dir).content['message_hub']
    assert hub['resumed_keys'].keys() == hub['runtime_info'].keys()
    return hub['runtime_info']


@pytest.mark.parametrize('name', ['best_ckpt', 'best_ckpt_coco/bbox_mAP', 'last_ckpt'])
def test_best_checkpoint_paths_are_kept_only_in_the_runs_own_folder(name, file):
    run = file.parent / 'run'
    own = str(run / 'best_coco_bbox_mAP_epoch_3.pth')
    assert read_runtime_info(file, run, **{name: own})[name] == own
    assert name not in read_runtime_info(file, None, **{name: own})
    for path in ('../other/best_a.pth', '', 'epoch_3.pth', '../run/../other/best_a.pth', '..'):
        assert name not in read_runtime_info(file, run, **{name: f'{run}/{path}'}), path


def train(work_dir, **changes):
    """Train the toy model as OpenMMLab's scripts do."""
    cfg = Config.fromfile(CONFIG)
    hook = {'default_hooks.checkpoint.type': 'CheckpointHook'}
    changes = {'work_dir': str(work_dir), **hook, **changes}
    # mmengine keeps global state for each experiment name.
    cfg.merge_from_dict({'experiment_name': f'run{next(NUMBERS)}', **changes})
    Runner.from_cfg(cfg).train()


def test_a_run_resumes_safely_from_a_malicious_checkpoint(file):
    """The checkpoint makes mmengine run code, from a pickle and from configs, and delete a file."""
    folder = file.parent
    work_dir = file.parent / 'work'
    canary = folder / 'canary'
    victim = folder / 'best_score_epoch_1.pth'
    victim.write_bytes(b'precious')
    train(work_dir, **{'train_cfg.max_epochs': 1})
    content = read_checkpoint(work_dir / 'epoch_1.pth')
    order = f'open({str(canary)!r}, "w")'
    content['meta'] |= {'cfg': order, 'config': order}
    best = {'best_ckpt': str(victim), 'last_ckpt': str(victim), 'best_score': -1.0}
    content['message_hub']['runtime_info'] |= {'cfg': order, **best}
    content['message_hub']['resumed_keys'] |= dict.fromkeys(['cfg', *best], True)
    torch.save(content | {'extra': RunsACommand(canary)}, file)
    hook = {'default_hooks.safe_load': {'type': 'mmgcvit.SafeLoadHook'}}
    train(work_dir, resume=True, load_from=str(file), **hook)
    assert read_checkpoint(work_dir / 'epoch_3.pth')['meta']['epoch'] == 3
    assert [canary.exists(), victim.exists()] == [False, True]


def test_a_resumed_run_removes_no_files_but_checkpoints_of_its_own_folder(tmp_path):
    """A checkpoint can name any files as outdated."""
    work_dir = tmp_path / 'work'
    train(work_dir, **{'train_cfg.max_epochs': 1})
    file = work_dir / 'epoch_1.pth'
    others = [work_dir / 'notes.txt', work_dir / 'model.pth', tmp_path / 'iter_7.pth']
    outdated = work_dir / 'iter_9.pth'
    for path in (*others, outdated):
        path.write_bytes(b'precious')
    names = ['notes.txt', 'model.pth', str(others[2]), '../iter_7.pth', 'iter_9.pth']
    content = read_checkpoint(file)
    content['message_hub']['runtime_info']['outdated_ckpts'] = names
    content['message_hub']['resumed_keys']['outdated_ckpts'] = True
    torch.save(content, file)
    hook = {'default_hooks.checkpoint.type': 'mmgcvit.AtomicCheckpointHook'}
    safe = {'default_hooks.safe_load': {'type': 'mmgcvit.SafeLoadHook'}}
    train(work_dir, resume=True, **{'train_cfg.max_epochs': 2}, **hook, **safe)
    assert not outdated.exists()
    assert all(path.exists() for path in others)
