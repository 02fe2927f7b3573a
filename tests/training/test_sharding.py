"""Sharing a model out among processes changes nothing about its training; shown with two processes on the CPU."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import ShardingStrategy

from mmgcvit import GCViT
from mmgcvit.training import auto_precision, wrap_blocks
from mmgcvit.training.sharding import FSDPStrategy

from ..conftest import ROOT

CONFIGS = ROOT / 'tests' / 'data' / 'configs'


def test_fsdp_gathers_every_block_on_its_own():
    model = GCViT('xxtiny')
    wrapped = [name for name, module in model.named_modules() if wrap_blocks(module, False, 0)]
    assert wrapped == [
        f'stages.{i}.blocks.{j}' for i, stage in enumerate(model.stages) for j in range(len(stage.blocks))
    ]
    assert wrap_blocks(nn.Linear(1, 1), True, 0)


def test_gradients_of_shares_are_clipped_by_the_norm_of_all(monkeypatch):
    """Another process holds as much again: of a norm of 5 here, 5 * sqrt(2) in all."""
    monkeypatch.setattr('torch.distributed.all_reduce', lambda squares: squares.mul_(2))
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    wrapper = auto_precision(use_fsdp=True, optimizer=optimizer, clip_grad={'max_norm': 1.0})
    parameter.grad = torch.tensor([3.0, 4.0])
    wrapper.step()
    torch.testing.assert_close(parameter.data, -torch.tensor([3.0, 4.0]) / (5 * 2**0.5))


@pytest.mark.parametrize('clip_grad', [{'type': 'value', 'clip_value': 1.0}, {'max_norm': 1.0, 'norm_type': 1.0}])
def test_other_ways_of_clipping_shares_are_refused(clip_grad):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match=r'dict\(max_norm=\.\.\.\) only'):
        auto_precision(use_fsdp=True, optimizer=optimizer, clip_grad=clip_grad)


@pytest.mark.parametrize('strategy', ['HYBRID_SHARD', 'NO_SHARD', ShardingStrategy.HYBRID_SHARD])
def test_strategies_that_keep_copies_are_refused(strategy):
    """Clipping would count each copy's gradients."""
    wrapper = {'type': 'MMFullyShardedDataParallel', 'sharding_strategy': strategy}
    with pytest.raises(ValueError, match=r'sharding_strategy is .*expected FULL_SHARD or SHARD_GRAD_OP'):
        FSDPStrategy(model_wrapper=wrapper)


def train_in_two_processes(digits, config, work_dir, *options):
    environment = os.environ | {'DIGITS': str(digits), 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '-1'}
    command = ['tools/dist_train.sh', str(CONFIGS / f'{config}.py'), '2', '--work-dir', str(work_dir), *options]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]


def test_a_sharded_config_started_as_one_process_says_how_to_start_it(tmp_path):
    command = [sys.executable, 'tools/train.py', 'configs/dino_gcvit_l_fsdp.py', '--work-dir', str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode != 0
    assert 'tools/dist_train.sh CONFIG NUMBER_OF_GPUS' in run.stderr
    assert 'Traceback' not in run.stderr


@pytest.mark.slow
def test_a_sharded_training_saved_and_resumed_ends_with_the_weights_of_a_plain_one(tmp_path):
    """DINO with gradient clipping, an epoch and, resumed, one more: with DDP and with FSDP."""
    digits = tmp_path / 'digits'
    make = [sys.executable, 'tools/make_digits.py', str(digits), '--train', '8', '--val', '4', '--size', '128']
    subprocess.run(make, cwd=ROOT, check=True)
    two_epochs = ['--cfg-options', 'train_cfg.max_epochs=2']
    for kind, config in (('plain', 'dino'), ('sharded', 'dino_fsdp')):
        train_in_two_processes(digits, config, tmp_path / kind)
        train_in_two_processes(digits, config, tmp_path / kind, '--resume', *two_epochs)
    plain, sharded = (
        torch.load(tmp_path / kind / 'epoch_2.pth', weights_only=False)['state_dict'] for kind in ('plain', 'sharded')
    )
    torch.testing.assert_close(sharded, plain, atol=1e-6, rtol=0)
    command = [
        sys.executable,
        'tools/test.py',
        str(CONFIGS / 'dino_fsdp.py'),
        str(tmp_path / 'sharded' / 'epoch_2.pth'),
    ]
    environment = os.environ | {'DIGITS': str(digits), 'CUDA_VISIBLE_DEVICES': '-1'}
    tested = subprocess.run([*command, '--work-dir', str(tmp_path)], cwd=ROOT, env=environment, capture_output=True)
    assert b'coco/bbox_mAP:' in tested.stdout
