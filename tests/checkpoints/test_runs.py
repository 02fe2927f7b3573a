"""Whole runs of a toy resume: from files that order a host to run code and remove files, torn ones, and one's own."""

import contextlib
import copy
import io
import os
import sys
from fractions import Fraction
from itertools import count
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmgcvit.checkpoints import check_whole, read_checkpoint
from mmgcvit.checkpoints.for_hosts import ReadingAsData
from mmgcvit.commands.main import run_command

from . import toy

CONFIG = str(Path(__file__).parent / 'toy_config.py')
NUMBERS = count()
# Without the moving average: mmengine's EMAHook does not resume under that runner.
FLEXIBLE = ('runner_type=FlexibleRunner', 'strategy.type=SingleDeviceStrategy', 'custom_hooks=[]')


class Trained:
    """A run after one epoch, a checkpoint of it that is full of orders, and what those would do."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.work_dir, self.monkeypatch = folder, folder / 'work', monkeypatch
        self.canary, self.victim = folder / 'canary', folder / 'other' / 'best_score_epoch_1.pth'
        self.victim.parent.mkdir()
        self.victim.write_bytes(b'precious')
        self.run('train', CONFIG, options=['train_cfg.max_epochs=1'])
        self.content = read_checkpoint(str(self.work_dir / 'epoch_1.pth'))

    def run(self, name, *arguments, options=()):
        """Call a command in this process; its output is dropped."""
        # What mmengine keeps of a run goes by its name, for which it takes the second.
        options = ['--cfg-options', *options, f'experiment_name=run{next(NUMBERS)}']
        arguments = [name, *arguments, '--work-dir', self.work_dir, '--device', 'cpu', *options]
        self.monkeypatch.setattr(sys, 'argv', [*map(str, arguments)])
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_command(name)

    def resume(self, *name, options=()):
        self.run('train', CONFIG, '--resume', *name, options=options)

    def resume_as_hosts_do(self, file, saving='CheckpointHook', **hooks):
        cfg = Config.fromfile(CONFIG)
        cfg.merge_from_dict({'work_dir': str(self.work_dir), 'resume': True, 'load_from': str(file)})
        cfg.default_hooks.checkpoint.type = saving
        cfg.default_hooks.update(hooks)
        Runner.from_cfg(cfg).train()

    def save(self, content, name='x.pth'):
        torch.save(content, self.folder / name)
        return self.folder / name

    def hostile(self):
        content = copy.deepcopy(self.content)
        order = f'open({str(self.canary)!r}, "w")'
        content['meta'] |= {'cfg': order, 'config': order}
        info = content['message_hub']['runtime_info']
        info |= {'cfg': order, 'best_ckpt': str(self.victim), 'last_ckpt': str(self.victim), 'best_score': -1.0}
        info['keep_ckpt_ids'] = [1]
        content['message_hub']['resumed_keys'] |= dict.fromkeys(info, True)
        return self.save(content, 'hostile.pth')

    def harm(self):
        """What of the orders was followed."""
        return [name for name, done in (('ran', self.canary.exists()), ('gone', not self.victim.exists())) if done]

    def check(self, epoch):
        path = self.work_dir / f'epoch_{epoch}.pth'
        check_whole(path)
        assert read_checkpoint(str(path))['meta']['epoch'] == epoch


@pytest.fixture
def trained(tmp_path, monkeypatch):
    return Trained(tmp_path, monkeypatch)


def test_no_order_in_a_file_is_followed(trained):
    hostile = trained.hostile()
    trained.resume(hostile)
    trained.check(epoch=2)
    trained.resume(hostile, options=FLEXIBLE)
    # A host's own script, and its inferencer by the file alone, which would execute a config that it finds there.
    trained.resume_as_hosts_do(hostile, read_as_data={'type': 'mmgcvit.ReadAsDataHook'})
    with ReadingAsData(), contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(ValueError):
        toy.ToyInferencer(None, str(hostile), device='cpu', scope='mmengine')
    assert trained.harm() == []


@pytest.mark.parametrize(
    ('saving', 'harm'), [('CheckpointHook', ['ran', 'gone']), ('mmgcvit.WholeCheckpointHook', ['ran'])]
)
def test_left_to_itself_the_host_follows_them_and_this_projects_hook_removes_nothing(saving, harm, trained):
    """What the test above would see."""
    trained.resume_as_hosts_do(trained.hostile(), saving)
    assert trained.harm() == harm


def test_the_best_checkpoint_of_the_run_itself_is_replaced_by_a_better_one(trained):
    best = {'best_score': -1.0, 'best_ckpt': str(trained.work_dir / 'best_score_epoch_1.pth')}
    trained.content['message_hub']['runtime_info'] |= best
    trained.resume(trained.save(trained.content))
    assert [path.name for path in trained.work_dir.glob('best_*')] == ['best_score_epoch_2.pth']


def test_behind_a_torn_file_the_whole_one_is_resumed_and_told_of(trained):
    trained.resume()
    torn = trained.work_dir / 'epoch_2.pth'
    os.truncate(torn, 5000)
    with pytest.raises(SystemExit, match=r'epoch_2\.pth is damaged.* Whole, beside it: .*epoch_1\.pth'):
        trained.resume(torn)
    trained.resume(options=['train_cfg.max_epochs=3'])
    trained.check(epoch=3)


def test_weights_within_an_object_are_read_if_trusted(trained):
    """Another object beside them is left out in any case."""
    weights = trained.content['state_dict']
    own = trained.save({**trained.content, 'extra': Fraction(1, 3)})
    trained.run('test', CONFIG, own)
    within = trained.save({'state_dict': Held(weights)}, 'within.pth')
    with pytest.raises(SystemExit, match=r'within\.pth does not fit|holds no weights'):
        trained.run('test', CONFIG, within)
    trained.run('test', CONFIG, within, '--trust-checkpoint')


class Held(dict):
    """A dict of another class."""
