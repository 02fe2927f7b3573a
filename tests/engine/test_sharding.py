"""Sharing a model out among processes changes nothing about its training; shown with two processes on the CPU."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import ShardingStrategy

from mmgcvit import GCViT
from mmgcvit.engine.precision import auto_precision
from mmgcvit.engine.sharding import FSDPStrategy, wrap_blocks

from .. import fork_server
from ..processes import free_port
from ..programs import last_of
from ..tools.commands import CONFIGS, TOOLS, call, environment_for, evaluate


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
    """What torch's launcher starts on one node, without the launcher, which has tests of its own."""
    command = ['-m', 'mmgcvit', 'train', CONFIGS / f'{config}.py', '--work-dir', work_dir, *options]
    together = environment_for(digits, WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free_port()))
    with ThreadPoolExecutor() as pool:
        environments = [together | {'RANK': rank, 'LOCAL_RANK': rank} for rank in '01']
        start = partial(fork_server.run, *command, '--launcher', 'pytorch')
        for run in pool.map(lambda environment: start(environment=environment), environments):
            assert run.returncode == 0, last_of(run.stdout, run.stderr)


def test_a_sharded_config_started_as_one_process_says_how_to_start_it(tmp_path):
    output = call('', TOOLS / 'train.py', 'configs/dino_gcvit_l_fsdp.py', '--work-dir', tmp_path, fails=True)
    assert 'tools/dist_train.sh CONFIG NUMBER_OF_GPUS' in output
    assert 'Traceback' not in output


@pytest.mark.slow
def test_a_sharded_training_saved_and_resumed_ends_with_the_weights_of_a_plain_one(digits, tmp_path):
    """DINO with gradient clipping, an epoch and, resumed, one more: with DDP and with FSDP."""
    two_epochs = ['--cfg-options', 'train_cfg.max_epochs=2']
    for kind, config in (('plain', 'dino'), ('sharded', 'dino_fsdp')):
        train_in_two_processes(digits, config, tmp_path / kind)
        train_in_two_processes(digits, config, tmp_path / kind, '--resume', *two_epochs)
    plain, sharded = (
        torch.load(tmp_path / kind / 'epoch_2.pth', weights_only=False)['state_dict'] for kind in ('plain', 'sharded')
    )
    torch.testing.assert_close(sharded, plain, atol=1e-6, rtol=0)
    assert 'coco/bbox_mAP:' in evaluate(digits, 'dino_fsdp', tmp_path / 'sharded')
