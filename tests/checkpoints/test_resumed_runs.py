"""Whole runs of a toy resume: from files that order a host to run code and remove files, torn ones, and one's own."""

import os
from fractions import Fraction

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner.checkpoint import load_from_local

from mmgcvit.checkpoints import check_whole, read_checkpoint

from .fuzzer import commands
from .fuzzer.sandbox import Sandbox
from .fuzzer.seeds import with_orders

ONE_EPOCH = 'train_cfg.max_epochs=1'
# Without the moving average: mmengine's EMAHook does not resume under that runner.
FLEXIBLE = ('runner_type=FlexibleRunner', 'strategy.type=SingleDeviceStrategy', 'custom_hooks=[]')


@pytest.fixture
def sandbox(monkeypatch):
    """After one epoch of a run; mmengine's loaders are as before when the test has ended."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    sandbox = Sandbox()
    commands.train(sandbox, ONE_EPOCH)
    return sandbox


@pytest.fixture
def hostile(sandbox):
    """That run's checkpoint with orders in it."""
    path = sandbox.folder / 'hostile.pth'
    torch.save(with_orders(read_checkpoint(str(sandbox.work_dir / 'epoch_1.pth')), sandbox), path)
    return path


def resume(sandbox, *name, options=()):
    commands.run('train', commands.CONFIG, '--resume', *name, '--work-dir', sandbox.work_dir, options=options)


@pytest.mark.parametrize('runner', [(), FLEXIBLE], ids=['Runner', 'FlexibleRunner'])
def test_no_order_in_a_file_is_followed(sandbox, hostile, runner):
    resume(sandbox, hostile, options=runner)
    assert sandbox.harm() == []
    if not runner:  # mmengine's FlexibleRunner counts epochs otherwise after a resume
        check_whole_and_of_epoch(sandbox, 2)


@pytest.mark.parametrize(
    ('hook', 'removed'),
    [('CheckpointHook', ["another run's best checkpoint is gone"]), ('mmgcvit.WholeCheckpointHook', [])],
)
def test_left_to_itself_the_host_follows_them_and_this_projects_hook_removes_nothing(hook, removed, sandbox, hostile):
    """What the test above would see."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    cfg = Config.fromfile(commands.CONFIG)
    cfg.merge_from_dict({'work_dir': str(sandbox.work_dir), 'resume': True, 'load_from': str(hostile)})
    cfg.default_hooks.checkpoint.type = hook
    Runner.from_cfg(cfg).train()
    assert sandbox.harm() == ['code of the file ran', *removed]


def test_under_a_hosts_own_script_none_is_followed_either(sandbox, hostile):
    cfg = Config.fromfile(commands.CONFIG)
    cfg.merge_from_dict({'work_dir': str(sandbox.work_dir), 'resume': True, 'load_from': str(hostile)})
    Runner.from_cfg(cfg).train()
    assert sandbox.harm() == []


def test_the_best_checkpoint_of_the_run_itself_is_replaced_by_a_better_one(sandbox):
    content = read_checkpoint(str(sandbox.work_dir / 'epoch_1.pth'))
    content['message_hub']['runtime_info'] |= {
        'best_score': -1.0,
        'best_ckpt': str(sandbox.work_dir / 'best_score_epoch_1.pth'),
    }
    torch.save(content, sandbox.folder / 'x.pth')
    resume(sandbox, sandbox.folder / 'x.pth')
    assert [path.name for path in sandbox.work_dir.glob('best_*')] == ['best_score_epoch_2.pth']


def check_whole_and_of_epoch(sandbox, epoch):
    path = sandbox.work_dir / f'epoch_{epoch}.pth'
    check_whole(path)
    assert read_checkpoint(str(path))['meta']['epoch'] == epoch


def test_behind_a_torn_file_the_whole_one_before_it_is_resumed(sandbox):
    resume(sandbox)
    os.truncate(sandbox.work_dir / 'epoch_2.pth', 5000)
    resume(sandbox, options=['train_cfg.max_epochs=3'])
    check_whole_and_of_epoch(sandbox, 3)


def test_a_torn_file_that_was_named_tells_of_the_whole_one(sandbox):
    resume(sandbox)
    os.truncate(sandbox.work_dir / 'epoch_2.pth', 5000)
    with pytest.raises(SystemExit, match=r'epoch_2\.pth is damaged.* Whole, beside it: .*epoch_1\.pth'):
        resume(sandbox, sandbox.work_dir / 'epoch_2.pth')


def test_a_file_without_a_run_in_it_is_not_resumed(sandbox):
    content = read_checkpoint(str(sandbox.work_dir / 'epoch_1.pth'))
    torch.save({'state_dict': content['state_dict']}, sandbox.folder / 'x.pth')
    with pytest.raises(SystemExit, match=r'x\.pth cannot be resumed: its meta\.epoch'):
        resume(sandbox, sandbox.folder / 'x.pth')


@pytest.mark.parametrize('command', ['train', 'test'])
def test_a_file_of_ones_own_with_other_classes_is_read_if_trusted(sandbox, command):
    content = read_checkpoint(str(sandbox.work_dir / 'epoch_1.pth'))
    path = sandbox.folder / 'own.pth'
    torch.save({**content, 'extra': Fraction(1, 3)}, path)
    arguments = ['--resume', path] if command == 'train' else [path]
    with pytest.raises(SystemExit, match=r'fractions\.Fraction.*--trust-checkpoint'):
        commands.run(command, commands.CONFIG, *arguments, '--work-dir', sandbox.work_dir)
    commands.run(command, commands.CONFIG, *arguments, '--trust-checkpoint', '--work-dir', sandbox.work_dir)
