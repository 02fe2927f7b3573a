"""Sharing a model or images out among processes changes nothing about its training; with two processes on the CPU."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy
from torch.nn.parallel import DistributedDataParallel

from mmgcvit.engine.fsdp import FSDPStrategy, wrap_blocks
from mmgcvit.engine.precision import build_auto_precision_wrapper
from mmgcvit.errors import UserError

from ..models.contract.backbones import BACKBONES
from ..processes import answers_of
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


SIZE = (40, 52)
CASES = {
    **{name: (name, {}) for name in ('gcvit', 'lsa', 'lsa_windows', 'lsa_one_kv_head')},
    'lsa, recomputed': ('lsa', {'with_cp': True}),
}
IMAGES = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def build(case):
    """The same in every process."""
    name, arguments = CASES[case]
    torch.manual_seed(0)
    return BACKBONES[name][0](drop_path_rate=0.0, **arguments)


def train_once(model, images, gradients_of):
    """The maps of inference, the gradients of a step, and the maps after it, of one process's images, as arrays."""

    def infer():
        with torch.no_grad():
            return [found.clone().numpy() for found in model.eval()(images)]

    before = infer()
    maps = model.train()(images)
    sum((found * torch.arange(found[0].numel()).view(found.shape[1:]).cos()).mean() for found in maps).backward()
    gradients = gradients_of(model)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return before, gradients, infer()


def gradients_of(model):
    return {name: parameter.grad.clone().numpy() for name, parameter in model.named_parameters()}


def gradients_of_whole(model):
    """Put together from the shares of all processes."""
    with FullyShardedDataParallel.summon_full_params(model, with_grads=True):
        return {name.replace('_fsdp_wrapped_module.', ''): found for name, found in gradients_of(model).items()}


def train_shared_out():
    """What one of the processes does; arrays, since tensors would be lost with the process that made them."""
    results, own = {}, IMAGES[dist.get_rank()][None]
    for case in CASES:
        model = DistributedDataParallel(build(case))
        results[case, 'ddp'] = train_once(model, own, lambda model: gradients_of(model.module))
        model = build(case)
        total = sum(parameter.numel() for parameter in model.parameters())
        options = {'auto_wrap_policy': wrap_blocks, 'device_id': torch.device('cpu'), 'use_orig_params': True}
        model = FullyShardedDataParallel(model, **options)
        assert sum(parameter.numel() for parameter in model.parameters()) < 0.6 * total
        results[case, 'fsdp'] = train_once(model, own, gradients_of_whole)
    return results


@toy.SHARDS_HERE
@pytest.mark.slow
def test_two_processes_with_an_image_each_equal_one_with_two():
    """To 1,000 roundings of each tensor's largest number, before the step and after.

    A gradient is a sum over up to 2 x 130 tokens of what went through some twenty sums of its own; added up in another
    order each is off by its own rounding, and what cancels is not.
    """
    shares = answers_of(train_shared_out, [()] * 2)
    for case in CASES:
        before, gradients, after = train_once(build(case), IMAGES, gradients_of)
        assert any(abs(x - y).max() > 1e-2 for x, y in zip(before, after, strict=True)), 'the step would be noticed'
        for rank, kind in ((rank, kind) for rank in range(2) for kind in ('ddp', 'fsdp')):
            before_there, gradients_there, after_there = shares[rank][case, kind]
            assert set(gradients_there) == set(gradients)
            for name, expected in gradients.items():
                error = abs(gradients_there[name] - expected).max()
                assert error <= 1000 * EPS * max(abs(expected).max(), 1e-3), (case, kind, name)
            for found, expected in zip([*before_there, *after_there], [*before, *after], strict=True):
                error = abs(found[0] - expected[rank]).max()
                assert error <= 1000 * EPS * max(abs(expected[rank]).max(), 1), (case, kind)
