"""mmengine loads checkpoints without running code or configs from them, or deleting files that they
name.
"""

import contextlib
import pickle
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, Runner

from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.checkpoints.safe_loading import Checkpoint, read_for_mmengine, safe_checkpoint_loading
from mmgcvit.engine.hooks.checkpoint import SafeLoadHook
from mmgcvit.errors import CheckpointError

from ..toy import CONFIG, RunsACommand

NUMBERS = count()


def test_the_hook_covers_a_run_and_does_not_replace_a_commands_context():
    """Files and URLs are covered, and mmengine's loaders are restored."""
    runner, hook, schemes = (
        SimpleNamespace(work_dir='run'),
        SafeLoadHook(),
        dict(CheckpointLoader._schemes),
    )
    for around in (contextlib.nullcontext(), safe_checkpoint_loading('run')):
        with around:
            before = dict(CheckpointLoader._schemes)
            hook.before_run(runner)
            for name in ('x.pth', 'https://somewhere/x.pth'):
                loader = CheckpointLoader._get_checkpoint_loader(name)
                assert loader.__module__ == 'mmgcvit.checkpoints.safe_loading'
            hook.after_run(runner)
            assert before == CheckpointLoader._schemes
    assert schemes == CheckpointLoader._schemes


def test_tensors_are_loaded_to_map_location(tmp_path):
    torch.save({'optimizer': [(torch.ones(1),)]}, tmp_path / 'x.pth')
    for map_location, place in ((None, 'cpu'), (torch.device('meta'), 'meta')):
        with safe_checkpoint_loading():
            content = CheckpointLoader.load_checkpoint(str(tmp_path / 'x.pth'), map_location)
        assert content['optimizer'][0][0].device.type == place


def test_mmengine_gets_a_given_content_once_and_then_reads_the_file(tmp_path):
    torch.save({'state_dict': {'a': torch.ones(1)}}, path := str(tmp_path / 'x.pth'))
    given = Checkpoint(path, {'state_dict': {}})
    with safe_checkpoint_loading(checkpoint=given):
        assert CheckpointLoader.load_checkpoint(path) is given.content
        assert CheckpointLoader.load_checkpoint(path)['state_dict'] == {'a': 1}


def test_a_pickled_checkpoint_names_its_file_which_other_ranks_read(tmp_path):
    work_dir, best = tmp_path, str(tmp_path / 'best_a.pth')
    content = {'state_dict': {'a': torch.ones(9999)}, 'optimizer': {}, 'meta': {'best_ckpt': best}}
    torch.save(content, tmp_path / 'x.pth')
    checkpoint = read_for_mmengine(str(tmp_path / 'x.pth'), work_dir, is_resumed=False)
    sent = pickle.dumps(checkpoint)
    received = pickle.loads(sent)
    assert (len(sent) < 999, received.source) == (True, checkpoint.source)
    assert (received.content.keys(), received.content['meta']) == (
        checkpoint.content.keys(),
        {'best_ckpt': best},
    )


def test_a_checkpoint_of_bfloat16_resumes_in_float16(tmp_path):
    """Its loss scaler has no state, which GradScaler rejects."""
    for state in ({}, {'scale': 2.0}):
        torch.save(
            {'state_dict': {'a': torch.ones(1)}, 'optimizer': {'loss_scaler': state}},
            tmp_path / 'x.pth',
        )
        optimizer = read_for_mmengine(str(tmp_path / 'x.pth')).content['optimizer']
        assert optimizer == ({'loss_scaler': state} if state else {})


def test_weights_are_found_under_the_usual_checkpoint_keys(tmp_path):
    weights = {'weight': torch.ones(1)}
    for content in (weights, {'model': weights}, {'state_dict': weights, 'meta': {}}):
        torch.save(content, tmp_path / 'x.pth')
        assert read_for_mmengine(str(tmp_path / 'x.pth')).content['state_dict']['weight'] == 1
    # mmengine's strategies also write a meta.pth.
    torch.save({'epoch': 3}, tmp_path / 'meta.pth')
    assert read_for_mmengine(str(tmp_path / 'meta.pth')).content['epoch'] == 3
    torch.save([1], tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='has no weights: it is a list instead of a dict'):
        read_for_mmengine(str(tmp_path / 'x.pth'))


def runtime_info(tmp_path, work_dir=None, **entries):
    """Return the runtime info that mmengine gets from a checkpoint with these entries."""
    hub = {
        'log_scalars': {'loss': HistoryBuffer([1.0], [1])},
        'runtime_info': {'cfg': 'import os', 'epoch': 1, **entries},
        'resumed_keys': dict.fromkeys(['cfg', 'epoch', 'loss', *entries], True),
    }
    torch.save({'state_dict': {'a': torch.ones(1)}, 'message_hub': hub}, tmp_path / 'x.pth')
    hub = read_for_mmengine(str(tmp_path / 'x.pth'), work_dir).content['message_hub']
    assert hub['resumed_keys'].keys() == hub['runtime_info'].keys()
    return hub['runtime_info']


@pytest.mark.parametrize('name', ['best_ckpt', 'best_ckpt_coco/bbox_mAP'])
def test_best_checkpoint_paths_are_kept_only_in_the_runs_own_folder(name, tmp_path):
    own = str(tmp_path / 'run' / 'best_coco_bbox_mAP_epoch_3.pth')
    assert runtime_info(tmp_path, tmp_path / 'run', **{name: own})[name] == own
    assert name not in runtime_info(tmp_path, None, **{name: own})
    for path in ('other/best_a.pth', 'run', 'run/epoch_3.pth', 'run/../other/best_a.pth', ''):
        assert name not in runtime_info(
            tmp_path, tmp_path / 'run', **{name: str(tmp_path / path)}
        ), path


def train(work_dir, **changes):
    """Train the toy model as OpenMMLab's scripts do."""
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(
        {'work_dir': str(work_dir), 'default_hooks.checkpoint.type': 'CheckpointHook'}
    )
    # mmengine keeps global state for each experiment name.
    cfg.merge_from_dict({'experiment_name': f'run{next(NUMBERS)}', **changes})
    Runner.from_cfg(cfg).train()


def test_a_run_resumes_safely_from_a_malicious_checkpoint(tmp_path):
    """The checkpoint makes mmengine run code, from a pickle and from configs, and delete a file."""
    canary, victim = tmp_path / 'canary', tmp_path / 'best_score_epoch_1.pth'
    victim.write_bytes(b'precious')
    train(tmp_path / 'work', **{'train_cfg.max_epochs': 1})
    content, order = (
        read_checkpoint(tmp_path / 'work' / 'epoch_1.pth'),
        f'open({str(canary)!r}, "w")',
    )
    content['meta'] |= {'cfg': order, 'config': order}
    best = {'best_ckpt': str(victim), 'last_ckpt': str(victim), 'best_score': -1.0}
    content['message_hub']['runtime_info'] |= {'cfg': order, **best}
    content['message_hub']['resumed_keys'] |= dict.fromkeys(['cfg', *best], True)
    torch.save(content | {'extra': RunsACommand(canary)}, tmp_path / 'x.pth')
    hook = {'default_hooks.safe_load': {'type': 'mmgcvit.SafeLoadHook'}}
    train(tmp_path / 'work', resume=True, load_from=str(tmp_path / 'x.pth'), **hook)
    assert read_checkpoint(tmp_path / 'work' / 'epoch_3.pth')['meta']['epoch'] == 3
    assert [canary.exists(), victim.exists()] == [False, True]
