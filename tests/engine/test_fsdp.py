"""A sharded model trains as a whole one, here with two processes on the CPU."""

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import ShardingStrategy

from mmgcvit.engine.fsdp import FSDPStrategy
from mmgcvit.engine.precision import build_auto_precision_wrapper
from mmgcvit.errors import UserError

from ..tools.commands import TOOLS, call
from . import toy

EPS = torch.finfo(torch.float32).eps


def test_gradients_of_shares_are_clipped_by_the_norm_of_all(monkeypatch):
    """Another process holds as much again: of a norm of 5 here, 5 * sqrt(2) in all."""
    monkeypatch.setattr('torch.distributed.all_reduce', lambda squares: squares.mul_(2))
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    wrapper = build_auto_precision_wrapper(use_fsdp=True, optimizer=optimizer, clip_grad={'max_norm': 1.0})
    parameter.grad = torch.tensor([3.0, 4.0])
    wrapper.step()
    torch.testing.assert_close(parameter.data, -torch.tensor([3.0, 4.0]) / (5 * 2**0.5))


def test_other_ways_of_clipping_and_strategies_that_keep_copies_are_refused():
    """Clipping would count each copy's gradients."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    for clip_grad in ({'type': 'value', 'clip_value': 1.0}, {'max_norm': 1.0, 'norm_type': 1.0}):
        with pytest.raises(UserError, match=r'dict\(max_norm=\.\.\.\) only'):
            build_auto_precision_wrapper(use_fsdp=True, optimizer=optimizer, clip_grad=clip_grad)
    for strategy in ('HYBRID_SHARD', 'NO_SHARD', ShardingStrategy.HYBRID_SHARD):
        wrapper = {'type': 'MMFullyShardedDataParallel', 'sharding_strategy': strategy}
        with pytest.raises(UserError, match=r'sharding_strategy is .*expected FULL_SHARD or SHARD_GRAD_OP'):
            FSDPStrategy(model_wrapper=wrapper)


def test_a_sharded_config_started_as_one_process_says_how_to_start_it(tmp_path):
    output = call('', TOOLS / 'train.py', 'configs/dino_gcvit_l_fsdp.py', '--work-dir', tmp_path, fails=True)
    assert 'tools/dist_train.sh CONFIG NUMBER_OF_GPUS' in output
    assert 'Traceback' not in output


@toy.SHARDS_HERE
@pytest.mark.slow
def test_a_sharded_training_saved_and_resumed_ends_with_the_weights_of_a_plain_one(tmp_path):
    """A toy on GC ViT, every step's gradients clipped to a norm of 0.1, by SGD: what it learns follows every factor.

    Sums in another order give gradients other roundings. A step changes a weight by at most rate * norm; of three steps
    each may be off by its own rounding and that of what came before, some 100 roundings of EPS in a gradient that went
    through the network's layers.
    """
    rate, norm, steps = 1.0, 0.1, 3
    settings = ['train_dataloader.batch_size=1', f'optim_wrapper.clip_grad.max_norm={norm}']
    settings += ['optim_wrapper.optimizer._delete_=True', 'optim_wrapper.optimizer.type=SGD']
    settings += [f'optim_wrapper.optimizer.lr={rate}', 'param_scheduler=None', 'custom_hooks.0.type=SyncBuffersHook']
    own = ['optim_wrapper.type=mmgcvit.AutoPrecisionOptimWrapper', 'optim_wrapper.use_fsdp=True', *toy.SHARDED]
    for kind, more in (('plain', []), ('sharded', own)):
        toy.train_in_two(tmp_path / kind, settings=[*settings, *more, 'train_cfg.max_epochs=2'])
        before = toy.last(tmp_path / kind)['state_dict']
        toy.train_in_two(tmp_path / kind, '--resume', settings=[*settings, *more])
    plain, sharded = (toy.last(tmp_path / kind)['state_dict'] for kind in ('plain', 'sharded'))
    assert max((sharded[name] - before[name]).abs().max() for name in before) > 1e-3, 'a step would be noticed'
    torch.testing.assert_close(sharded, plain, atol=steps * rate * norm * 100 * EPS, rtol=10 * EPS)
