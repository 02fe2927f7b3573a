"""mmengine reads checkpoints as data within a context or a run: no code, no config, no path of a foreign file."""

import contextlib
import pickle
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, Runner

from mmgcvit.checkpoints import CheckpointError, read_checkpoint
from mmgcvit.checkpoints.safe_loading import SafeLoadHook, read_for_mmengine, safe_checkpoint_loading

from .conftest import RunsACommand

NUMBERS = count()


def test_within_the_context_mmengine_runs_no_code_from_a_file(tmp_path):
    before = dict(CheckpointLoader._schemes)
    (tmp_path / 'x.pth').write_bytes(pickle.dumps(RunsACommand(tmp_path / 'ran'), protocol=2))
    with safe_checkpoint_loading() as load:
        with pytest.raises(CheckpointError):
            CheckpointLoader.load_checkpoint(str(tmp_path / 'x.pth'))
        for name in ('x.pth', 'https://somewhere/x.pth'):
            assert CheckpointLoader._get_checkpoint_loader(name) is load
    assert before == CheckpointLoader._schemes
    assert not (tmp_path / 'ran').exists()


def test_the_hook_covers_a_run_and_leaves_a_commands_own_context_alone():
    runner, hook = SimpleNamespace(work_dir='run'), SafeLoadHook()
    for around in (contextlib.nullcontext(), safe_checkpoint_loading('run', ['mine'])):
        with around as told:
            before = CheckpointLoader._get_checkpoint_loader('')
            hook.before_run(runner)
            loader = CheckpointLoader._get_checkpoint_loader('')
            assert loader.__module__ == 'mmgcvit.checkpoints.safe_loading'
            assert told is None or loader is told
            hook.after_run(runner)
            assert CheckpointLoader._get_checkpoint_loader('') is before


@pytest.mark.parametrize(('map_location', 'place'), [(None, 'cpu'), ('cpu', 'cpu'), (torch.device('meta'), 'meta')])
def test_tensors_come_where_mmengine_asks_for_them(map_location, place, tmp_path):
    torch.save({'state_dict': {'a': torch.ones(1)}, 'optimizer': [(torch.ones(1),)]}, tmp_path / 'x.pth')
    with safe_checkpoint_loading() as load:
        content = load(str(tmp_path / 'x.pth'), map_location)
    assert [content['state_dict']['a'].device.type, content['optimizer'][0][0].device.type] == [place, place]


def test_only_the_file_that_is_trusted_may_run_code(tmp_path):
    for name in ('mine', 'other'):
        torch.save({'a': torch.ones(1), 'extra': RunsACommand(tmp_path / f'{name} ran')}, tmp_path / name)
    with safe_checkpoint_loading(trusted=[str(tmp_path / 'mine')]) as load:
        assert load(str(tmp_path / 'mine'))['state_dict']['a'] == 1
        load(str(tmp_path / 'other'))
    assert [(tmp_path / f'{name} ran').exists() for name in ('mine', 'other')] == [True, False]


def test_the_weights_are_found_wherever_trainers_put_them(tmp_path):
    weights = {'weight': torch.ones(1)}
    for content in (weights, {'model': weights}, {'state_dict': weights, 'meta': {}}):
        torch.save(content, tmp_path / 'x.pth')
        assert read_for_mmengine(str(tmp_path / 'x.pth'))['state_dict']['weight'] == 1
    # mmengine's strategies also write a meta.pth.
    torch.save({'epoch': 3}, tmp_path / 'meta.pth')
    assert read_for_mmengine(str(tmp_path / 'meta.pth'))['epoch'] == 3
    torch.save([1], tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='has no weights: it is a list instead of a dict'):
        read_for_mmengine(str(tmp_path / 'x.pth'))


def runtime_info(tmp_path, work_dir=None, **entries):
    """What mmengine is given of a run's entries."""
    content = {
        'state_dict': {'a': torch.ones(1)},
        'meta': {'epoch': 1, 'cfg': 'import os', 'config': 'import os'},
        'message_hub': {
            'log_scalars': {'loss': HistoryBuffer([1.0], [1])},
            'runtime_info': {'cfg': 'import os', 'epoch': 1, **entries},
            'resumed_keys': dict.fromkeys(['cfg', 'epoch', 'loss', *entries], True),
        },
    }
    torch.save(content, tmp_path / 'x.pth')
    content = read_for_mmengine(str(tmp_path / 'x.pth'), work_dir)
    assert content['meta'] == {'epoch': 1}
    hub = content['message_hub']
    assert hub['resumed_keys'].keys() == hub['runtime_info'].keys()
    return hub['runtime_info']


@pytest.mark.parametrize('name', ['best_ckpt', 'best_ckpt_coco/bbox_mAP'])
def test_a_best_checkpoint_that_mmengine_would_delete_is_one_of_the_runs_own(name, tmp_path):
    own = str(tmp_path / 'run' / 'best_coco_bbox_mAP_epoch_3.pth')
    assert runtime_info(tmp_path, tmp_path / 'run', **{name: own})[name] == own
    assert name not in runtime_info(tmp_path, None, **{name: own})
    for path in ('other/best_a.pth', 'run', 'run/epoch_3.pth', 'run/../other/best_a.pth', ''):
        assert name not in runtime_info(tmp_path, tmp_path / 'run', **{name: str(tmp_path / path)}), path


def train(work_dir, **changes):
    """Train the toy as OpenMMLab's scripts do."""
    cfg = Config.fromfile(Path(__file__).parent / 'toy_config.py')
    # mmengine keeps what it knows of a run by its name.
    cfg.merge_from_dict({'work_dir': str(work_dir), 'experiment_name': f'run{next(NUMBERS)}', **changes})
    Runner.from_cfg(cfg).train()


def test_a_run_resumes_from_a_hostile_file_without_harm_and_mmengine_alone_would_not(tmp_path):
    """A checkpoint that would have mmengine run code, by a pickle and by configs, and delete a file."""
    canary, victim = tmp_path / 'canary', tmp_path / 'best_score_epoch_1.pth'
    victim.write_bytes(b'precious')
    train(tmp_path / 'work', **{'train_cfg.max_epochs': 1})
    content, order = read_checkpoint(tmp_path / 'work' / 'epoch_1.pth'), f'open({str(canary)!r}, "w")'
    content['meta'] |= {'cfg': order, 'config': order}
    best = {'best_ckpt': str(victim), 'last_ckpt': str(victim), 'best_score': -1.0}
    content['message_hub']['runtime_info'] |= {'cfg': order, **best}
    content['message_hub']['resumed_keys'] |= dict.fromkeys(['cfg', *best], True)
    torch.save(content | {'extra': RunsACommand(canary)}, tmp_path / 'x.pth')
    resumed = {'resume': True, 'load_from': str(tmp_path / 'x.pth')}
    train(tmp_path / 'work', **resumed, **{'default_hooks.safe_load': {'type': 'mmgcvit.SafeLoadHook'}})
    assert read_checkpoint(tmp_path / 'work' / 'epoch_2.pth')['meta']['epoch'] == 2
    assert [canary.exists(), victim.exists()] == [False, True]
    train(tmp_path / 'work', **resumed)
    assert [canary.exists(), victim.exists()] == [True, False]
