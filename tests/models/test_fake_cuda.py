"""A CUDA training step on fake tensors, without a GPU: no synchronisation, no plans of cuDNN for each size.

Fake tensors have shape, dtype, device and strides. They raise an error where a number is read, a size depends on
numbers, or devices are mixed. torch's engine would ask the driver for streams in the backward pass, so Python walks the
graph instead.
"""

from contextlib import ExitStack, contextmanager
from functools import partial
from unittest import mock

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from mmgcvit import LSA, GCViT

from ..conftest import HALF_DTYPES

pytestmark = pytest.mark.skipif(
    not hasattr(torch.utils.checkpoint, 'GraphExecGroup'), reason='a backward pass by hand comes with torch 2.10'
)


@contextmanager
def fake_cuda():
    """A context in which ``'cuda'`` is a device of fake tensors, with CUDA's autocast."""
    with ExitStack() as stack:
        # torch.autocast would turn itself off.
        for name, answer in (('amp.common.amp_definitely_not_available', False), ('is_bf16_supported', True)):
            stack.enter_context(mock.patch(f'torch.cuda.{name}', return_value=answer))
        yield stack.enter_context(FakeTensorMode())


def move_to_cuda(model):
    """Move a model on the meta device to fake CUDA, inside of :func:`fake_cuda`."""
    return model._apply(lambda x: torch.full(x.shape, 0.01, dtype=x.dtype, device='cuda'))


def run_step(model, images, dtype):
    """Compute a backbone's maps and the gradients of their means, in autocast unless ``dtype`` is None."""
    with torch.autocast('cuda', dtype, enabled=dtype is not None):
        maps = model.train()(images)
    back(sum(x.float().mean() for x in maps))
    return maps


def back(loss):
    """Compute the gradients of a loss. Assert what torch's engine would convert silently."""
    waiting = {loss.grad_fn: {0: torch.ones_like(loss)}}
    # Recomputes activations once, as in torch's own backward pass.
    with torch.no_grad(), torch.utils.checkpoint.GraphExecGroup():
        while waiting:
            node = max(waiting, key=lambda node: node._sequence_nr())
            arrived, expected = waiting.pop(node), node._input_metadata
            for i, gradient in arrived.items():
                assert (gradient.device.type, gradient.shape) == ('cuda', tuple(expected[i].shape)), node
            if hasattr(node, 'variable'):
                gradient, x = arrived[0].contiguous(), node.variable  # laid out as torch's engine does
                assert gradient.dtype == x.dtype, node
                x.grad = gradient if x.grad is None else x.grad + gradient
                continue
            of_python = isinstance(node, torch.autograd.function.BackwardCFunction)
            missing = partial(torch.zeros, device='cuda') if of_python else lambda *_, **__: None
            inputs = [
                arrived[i] if i in arrived else missing(tuple(x.shape), dtype=x.dtype) for i, x in enumerate(expected)
            ]
            outputs = node.apply(*inputs) if of_python else node(*inputs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            for (before, i), gradient in zip(node.next_functions, outputs, strict=True):
                if before is not None and gradient is not None:
                    wanted = before._input_metadata[i]
                    gradient = gradient.to(wanted.dtype).sum_to_size(tuple(wanted.shape))
                    others = waiting.setdefault(before, {})
                    others[i] = others[i] + gradient if i in others else gradient


@pytest.mark.parametrize(
    ('network', 'arguments', 'dtype'),
    [
        (GCViT, {'arch': 'xxtiny', 'with_cp': True}, torch.float16),
        (GCViT, {'arch': 'xxtiny', 'window_size': 24, 'frozen_stages': 2}, None),
        (LSA, {'arch': 'cifar-tiny', 'lora_rank': 8}, torch.bfloat16),
    ],
)
def test_training_never_synchronises_the_device(network, arguments, dtype):
    with torch.device('meta'):
        model = network(**arguments)
    with fake_cuda():
        maps = run_step(move_to_cuda(model), torch.rand(2, 3, 203, 331, device='cuda'), dtype)
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert gradients
    assert all(x.device.type == 'cuda' for x in [*maps, *gradients])


class DepthwiseBackends(TorchDispatchMode):
    """Records the backends that torch chooses for depthwise convolutions and their gradients."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        arguments = ()
        if function is torch.ops.aten.convolution.default:
            arguments = args[:9]
        elif function is torch.ops.aten.convolution_backward.default:
            arguments = (*args[1:3], None, *args[4:10])
        if arguments and arguments[-1] > 1:  # groups
            self.found.append(torch._C._select_conv_backend(*arguments, None).name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize('dtype', [*HALF_DTYPES, None])
def test_depthwise_convolutions_are_not_cudnns(dtype):
    """cuDNN would compile a plan for each new shape of a map, forward and backward."""
    with torch.device('meta'):
        model = GCViT('xxtiny', window_size=16)
    with fake_cuda(), DepthwiseBackends() as backends:
        run_step(move_to_cuda(model), torch.rand(2, 3, 203, 331, device='cuda'), dtype)
    assert backends.found == ['CudaDepthwise2d'] * 2 * 11
