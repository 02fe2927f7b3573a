"""mmengine reads checkpoints as data within a context or a run: no code, no config, no path of a foreign file."""

import contextlib
import copy
import io
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
from mmgcvit.commands.main import run_command

from . import toy
from .conftest import RunsACommand

CONFIG = str(Path(__file__).parent / 'toy_config.py')
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
    with pytest.raises(CheckpointError, match='holds no weights: it is a list instead of a dict'):
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


class Trained:
    """A toy's run after one epoch, and a checkpoint of it that would have mmengine run code and delete a file."""

    def __init__(self, folder):
        self.folder, self.work_dir = folder, folder / 'work'
        self.canary, self.victim = folder / 'canary', folder / 'other' / 'best_score_epoch_1.pth'
        self.victim.parent.mkdir()
        self.victim.write_bytes(b'precious')
        self.run('train', options=['train_cfg.max_epochs=1'])
        self.content = read_checkpoint(self.work_dir / 'epoch_1.pth')

    def run(self, command, *arguments, options=()):
        # mmengine keeps what it knows of a run by its name.
        options = ['--cfg-options', *options, f'experiment_name=run{next(NUMBERS)}']
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_command(command, [CONFIG, *arguments, '--work-dir', self.work_dir, '--device', 'cpu', *options])

    def hostile(self):
        content, order = copy.deepcopy(self.content), f'open({str(self.canary)!r}, "w")'
        content['meta'] |= {'cfg': order, 'config': order}
        best = {'best_ckpt': str(self.victim), 'last_ckpt': str(self.victim), 'best_score': -1.0}
        content['message_hub']['runtime_info'] |= {'cfg': order, **best}
        content['message_hub']['resumed_keys'] |= dict.fromkeys(['cfg', *best], True)
        content['extra'] = RunsACommand(self.canary)
        torch.save(content, self.folder / 'x.pth')
        return str(self.folder / 'x.pth')

    def resume_as_openmmlab_does(self, file, **hooks):
        cfg = Config.fromfile(CONFIG)
        cfg.merge_from_dict({'work_dir': str(self.work_dir), 'resume': True, 'load_from': file})
        cfg.default_hooks.update(hooks)
        Runner.from_cfg(cfg).train()

    def harm(self):
        return [self.canary.exists(), not self.victim.exists()]


def test_a_whole_run_resumes_from_a_hostile_file_without_harm_and_mmengine_alone_would_not(tmp_path):
    trained = Trained(tmp_path)
    hostile = trained.hostile()
    trained.run('train', '--resume', hostile)
    assert read_checkpoint(trained.work_dir / 'epoch_2.pth')['meta']['epoch'] == 2
    trained.resume_as_openmmlab_does(hostile, safe_load={'type': 'mmgcvit.SafeLoadHook'})
    with safe_checkpoint_loading(), contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(ValueError):
        toy.ToyInferencer(None, hostile, device='cpu', scope='mmengine')
    assert trained.harm() == [False, False]
    trained.resume_as_openmmlab_does(hostile)
    assert trained.harm() == [True, True]
