"""Two processes with one image each train a backbone as one process with both does; on the CPU, over gloo."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.parallel import DistributedDataParallel

from mmgcvit.engine.sharding import wrap_blocks

from ..models.contract.backbones import BACKBONES
from ..processes import answers_of

SIZE = (40, 52)
CASES = {
    **{name: (name, {}) for name in ('gcvit', 'lsa', 'lsa_windows', 'lsa_one_kv_head')},
    'lsa, recomputed': ('lsa', {'with_cp': True}),
}


def build(case):
    """The same in every process."""
    name, arguments = CASES[case]
    torch.manual_seed(0)
    return BACKBONES[name][0](drop_path_rate=0.0, **arguments)


def train_once(model, images, parameters_of):
    """The maps of inference, the gradients of a step, and the maps after it, of one process's images."""

    def infer():
        with torch.no_grad():
            return [found.clone() for found in model.eval()(images)]

    before = infer()
    maps = model.train()(images)
    sum((found * torch.arange(found[0].numel()).view(found.shape[1:]).cos()).mean() for found in maps).backward()
    gradients = parameters_of(model, lambda parameter: parameter.grad.clone())
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return before, gradients, infer()


def of_each(model, function):
    return {name: function(parameter) for name, parameter in model.named_parameters()}


def of_each_inside(model, function):
    return of_each(model.module, function)


def of_each_whole(model, function):
    """Put together from the shares of all processes."""
    with FullyShardedDataParallel.summon_full_params(model, with_grads=True):
        return {name.replace('_fsdp_wrapped_module.', ''): p for name, p in of_each(model, function).items()}


def train_shared_out(case, kind):
    """What one of the processes does; arrays, since tensors would be lost with the process that made them."""
    model, images = build(case), torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    own = images[dist.get_rank()][None]
    if kind == 'ddp':
        results = train_once(DistributedDataParallel(model), own, of_each_inside)
    else:
        sharded = FullyShardedDataParallel(
            model, auto_wrap_policy=wrap_blocks, device_id=torch.device('cpu'), use_orig_params=True
        )
        assert sum(parameter.numel() for parameter in sharded.parameters()) < 0.6 * num_parameters(build(case))
        results = train_once(sharded, own, of_each_whole)
    before, gradients, after = results
    return [x.numpy() for x in before], {n: x.numpy() for n, x in gradients.items()}, [x.numpy() for x in after]


def num_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['ddp', 'fsdp'])
@pytest.mark.parametrize('case', CASES)
def test_two_processes_with_an_image_each_equal_one_with_two(case, kind):
    """Gradients within 1e-5 of each tensor's largest; the maps of inference within 1e-5, before the step and after."""
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    before, gradients, after = train_once(build(case), images, of_each)
    assert any((x - y).abs().max() > 1e-2 for x, y in zip(before, after, strict=True)), 'the step would be noticed'
    shares = answers_of(train_shared_out, [(case, kind)] * 2)
    for rank, (before_there, gradients_there, after_there) in enumerate(shares):
        assert set(gradients_there) == set(gradients)
        for parameter, expected in gradients.items():
            found = torch.as_tensor(gradients_there[parameter])
            atol = 1e-5 * max(expected.abs().max().item(), 1e-3)
            torch.testing.assert_close(found, expected, atol=atol, rtol=1e-4, msg=lambda m, p=parameter: f'{p}: {m}')
        for found, expected in zip([*before_there, *after_there], [*before, *after], strict=True):
            torch.testing.assert_close(torch.as_tensor(found)[0], expected[rank], atol=1e-5, rtol=1e-4)
