"""A CUDA training step on fake CUDA tensors: no synchronisation, few kernels, no plans of cuDNN for
each size.

The tensors have shape, dtype, device and strides, and need no GPU. They raise an error where a
number is read, a size depends on numbers, or devices are mixed. In the backward pass torch's engine
would ask the driver for streams, so Python walks the graph instead.
"""

from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import product
from math import prod
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmgcvit import LSA, GCViT

from ..conftest import HALF_DTYPES

pytestmark = pytest.mark.skipif(
    not hasattr(torch.utils.checkpoint, 'GraphExecGroup'),
    reason='a backward pass by hand comes with torch 2.10',
)
# The most by which the counts of other versions of torch exceed the limits.
MAX_RATIO = 1.03
DETECTION = (2, 3, 800, 1333)
# Those of the variants tiny and base, with one block of each kind of attention a stage.
TINY = {'embed_dims': 64, 'depths': (2, 2, 2, 2), 'num_heads': (2, 4, 8, 16), 'mlp_ratio': 3}
BASE = TINY | {'embed_dims': 128, 'num_heads': (4, 8, 16, 32), 'mlp_ratio': 2, 'layer_scale': 1e-5}
# Operators without a kernel besides views.
ALLOCATIONS = (
    'aten.empty',
    'aten.new_empty',
    'aten._reshape_alias',
    'aten._unsafe_view',
    'prim.device',
)


@contextmanager
def fake_cuda():
    """A context in which ``'cuda'`` is a device of fake tensors, with CUDA's autocast."""
    with ExitStack() as stack:
        # torch.autocast would turn itself off.
        for name, answer in (
            ('amp.common.amp_definitely_not_available', False),
            ('is_bf16_supported', True),
        ):
            stack.enter_context(mock.patch(f'torch.cuda.{name}', return_value=answer))
        yield stack.enter_context(FakeTensorMode())


def move_to_cuda(model):
    """Move a model on the meta device to fake CUDA, inside of :func:`fake_cuda`."""
    return model._apply(lambda x: torch.full(x.shape, 0.01, dtype=x.dtype, device='cuda'))


def run_step(model, images, dtype, training=True):
    """Compute a backbone's maps, and in training the gradients of their means, in autocast unless
    ``dtype`` is None.
    """
    with torch.set_grad_enabled(training):
        with torch.autocast('cuda', dtype, enabled=dtype is not None):
            maps = model.train(training)(images)
        if training:
            back([sum(x.float().mean() for x in maps)])
    return maps


def back(losses):
    """Remove a loss from its list and compute the gradients.

    Assert what torch's engine would convert silently.
    """
    loss = losses.pop()
    waiting = {loss.grad_fn: {0: torch.ones_like(loss)}}
    del loss  # so that each node frees its tensors, once it has been called
    # Recomputes activations once, as in torch's own backward pass.
    with torch.no_grad(), torch.utils.checkpoint.GraphExecGroup():
        while waiting:
            node = max(waiting, key=lambda node: node._sequence_nr())
            arrived, expected = waiting.pop(node), node._input_metadata
            for i, gradient in arrived.items():
                assert (gradient.device.type, gradient.shape) == (
                    'cuda',
                    tuple(expected[i].shape),
                ), node
            if hasattr(node, 'variable'):
                gradient, x = (
                    arrived[0].contiguous(),
                    node.variable,
                )  # laid out as torch's engine does
                assert gradient.dtype == x.dtype, node
                x.grad = gradient if x.grad is None else x.grad + gradient
                continue
            of_python = isinstance(node, torch.autograd.function.BackwardCFunction)
            missing = partial(torch.zeros, device='cuda') if of_python else lambda *_, **__: None
            inputs = [
                arrived[i] if i in arrived else missing(tuple(x.shape), dtype=x.dtype)
                for i, x in enumerate(expected)
            ]
            outputs = node.apply(*inputs) if of_python else node(*inputs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            for (before, i), gradient in zip(node.next_functions, outputs, strict=True):
                if before is not None and gradient is not None:
                    wanted = before._input_metadata[i]
                    gradient = gradient.to(wanted.dtype).sum_to_size(tuple(wanted.shape))
                    others = waiting.setdefault(before, {})
                    others[i] = others[i] + gradient if i in others else gradient


class KernelCounter(TorchDispatchMode):
    """Counts kernels, the gigabytes that they read and write, and the most gigabytes that are alive
    at once.

    Each operator that is not a view counts as one kernel, which reads its inputs and writes its
    outputs once. Operators that compute constants, from neither weights nor images nor random
    numbers, are left out: models keep them.
    """

    def __init__(self, inputs):
        super().__init__()
        self.kernels = self.moved = self.peak = 0
        self.alive = {
            StorageWeakRef(x.untyped_storage()): 0 for x in inputs
        }  # bytes of each storage

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        outputs = function(*args, **(kwargs or {}))
        used, written = (
            [x for x in tree_leaves(tree) if isinstance(x, torch.Tensor)]
            for tree in (args, outputs)
        )
        is_constant = not any(StorageWeakRef(x.untyped_storage()) in self.alive for x in used)
        if written and (torch.Tag.nondeterministic_seeded in function.tags or not is_constant):
            for storage in [x.untyped_storage() for x in written]:
                self.alive.setdefault(StorageWeakRef(storage), storage.nbytes())
            if not function.is_view and not str(function).startswith(ALLOCATIONS):
                self.kernels += 1
                self.moved += sum(map(count_bytes, [*used, *written])) / 1e9
                self.alive = {
                    storage: size for storage, size in self.alive.items() if not storage.expired()
                }
                self.peak = max(self.peak, sum(self.alive.values()) / 1e9)
        return outputs


def count_bytes(x):
    """Count the bytes of a tensor, without dimensions that are expanded."""
    return (
        prod(size for size, stride in zip(x.shape, x.stride(), strict=True) if stride)
        * x.element_size()
    )


def attend_efficiently(q, k, v, attn_mask=None, scale=None, **_):
    """Call the kernel that CUDA would choose; without a driver torch chooses the math kernel."""
    if attn_mask is None:
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, scale=scale)[0]
    bias = attn_mask.to(q.dtype).expand(*q.shape[:3], k.shape[2])
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    return kernel(q, k, v, bias, torch.is_grad_enabled(), scale=scale)[0]


class ConvBackends(TorchDispatchMode):
    """Counts convolutions and their gradients: depthwise ones by the backend that torch chooses,
    and all others.
    """

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        arguments = ()
        if function is torch.ops.aten.convolution.default:
            arguments = args[:9]
        elif function is torch.ops.aten.convolution_backward.default:
            arguments = (*args[1:3], None, *args[4:10])
        if arguments:
            is_depthwise = arguments[-1] > 1  # the number of groups
            self.found[
                torch._C._select_conv_backend(*arguments, None).name if is_depthwise else 'others'
            ] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ('dtype', 'benchmark'), [*product([*HALF_DTYPES, None], [False]), (None, True)]
)
def test_only_strided_convolutions_are_cudnns_unless_it_benchmarks(dtype, benchmark, monkeypatch):
    """cuDNN makes a plan for each new shape of a map, forward and backward: slowest for depthwise
    convolutions.
    """
    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', benchmark)
    with torch.device('meta'):
        model = GCViT(TINY, window_size=16)
    with fake_cuda(), ConvBackends() as backends:
        run_step(move_to_cuda(model), torch.rand(2, 3, 203, 331, device='cuda'), dtype)
    assert backends.found == {'Cudnn' if benchmark else 'CudaDepthwise2d': 2 * 11, 'others': 2 * 5}


@pytest.mark.parametrize(
    ('model', 'shape', 'training', 'limits'),
    [
        (partial(GCViT, TINY), (32, 3, 224, 224), True, (1033, 15.2, 1.84)),
        (partial(GCViT, TINY), (32, 3, 224, 224), False, (421, 5.61, 0.28)),
        (partial(GCViT, TINY, window_size=16), DETECTION, True, (1114, 22.4, 2.50)),
        (partial(GCViT, BASE, window_size=16), DETECTION, True, (1210, 45.4, 5.07)),
        (
            partial(GCViT, TINY, window_size=24, with_cp=True, frozen_stages=2),
            DETECTION,
            True,
            (824, 12.7, 0.41),
        ),
        (partial(LSA, 'cifar-tiny', lora_rank=8), (2, 3, 203, 331), True, (1399, 58.34, 7.14)),
    ],
)
def test_a_step_never_synchronises_the_device_and_kernels_traffic_and_memory_do_not_grow(
    model, shape, training, limits
):
    """In bfloat16.

    ``limits`` are the number of kernels, the GB that they read and write, and the most GB alive.
    """
    with torch.device('meta'):
        model = model()
    with fake_cuda(), mock.patch.object(F, 'scaled_dot_product_attention', attend_efficiently):
        images = torch.rand(shape, device='cuda')
        move_to_cuda(model)
        with KernelCounter([images, *model.parameters(), *model.buffers()]) as counter:
            maps = run_step(model, images, torch.bfloat16, training)
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert bool(gradients) == training
    assert all(x.device.type == 'cuda' for x in [*maps, *gradients])
    counts = counter.kernels, counter.moved, counter.peak
    assert all(count <= MAX_RATIO * limit for count, limit in zip(counts, limits, strict=True)), (
        counts
    )
