"""Run and count training steps on fake CUDA tensors, without a GPU: they have shape, dtype, device and strides.

They raise an error where a number is read, a size depends on numbers, or devices are mixed. torch's engine would ask
the driver for streams in the backward pass, so Python walks the graph instead.
"""

from contextlib import ExitStack, contextmanager
from functools import partial
from math import prod
from unittest import mock

import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Operators without a kernel besides views.
ALLOCATIONS = ('aten.empty', 'aten.new_empty', 'aten._reshape_alias', 'aten._unsafe_view', 'prim.device')


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


def run_step(model, images, dtype, training=True):
    """Compute a backbone's maps, and in training the gradients of their means, in autocast unless ``dtype`` is None."""
    with torch.set_grad_enabled(training):
        with torch.autocast('cuda', dtype, enabled=dtype is not None):
            maps = model.train(training)(images)
        if training:
            back([sum(x.float().mean() for x in maps)])
    return maps


def back(losses):
    """Remove a loss from its list and compute the gradients. Assert what torch's engine would convert silently."""
    loss = losses.pop()
    waiting = {loss.grad_fn: {0: torch.ones_like(loss)}}
    del loss  # so that each node frees its tensors, once it has been called
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


class KernelCounter(TorchDispatchMode):
    """Counts kernels, the gigabytes that they read and write, and the most gigabytes that are alive at once.

    Each operator that is not a view counts as one kernel, which reads its inputs and writes its outputs once. Operators
    that compute constants, from neither weights nor images nor random numbers, are left out: models keep them.
    """

    def __init__(self, inputs):
        super().__init__()
        self.kernels = self.moved = self.peak = 0
        self.alive = {StorageWeakRef(x.untyped_storage()): 0 for x in inputs}  # bytes of each storage

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        outputs = function(*args, **(kwargs or {}))
        used, written = ([x for x in tree_leaves(tree) if isinstance(x, torch.Tensor)] for tree in (args, outputs))
        is_constant = not any(StorageWeakRef(x.untyped_storage()) in self.alive for x in used)
        if written and (torch.Tag.nondeterministic_seeded in function.tags or not is_constant):
            for storage in [x.untyped_storage() for x in written]:
                self.alive.setdefault(StorageWeakRef(storage), storage.nbytes())
            if not function.is_view and not str(function).startswith(ALLOCATIONS):
                self.kernels += 1
                self.moved += sum(map(count_bytes, [*used, *written])) / 1e9
                self.alive = {storage: size for storage, size in self.alive.items() if not storage.expired()}
                self.peak = max(self.peak, sum(self.alive.values()) / 1e9)
        return outputs


def count_bytes(x):
    """Count the bytes of a tensor, without dimensions that are expanded."""
    return prod(size for size, stride in zip(x.shape, x.stride(), strict=True) if stride) * x.element_size()


def attend_efficiently(q, k, v, attn_mask=None, scale=None, **_):
    """Call the kernel that CUDA would choose; without a driver torch chooses the math kernel."""
    if attn_mask is None:
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, scale=scale)[0]
    bias = attn_mask.to(q.dtype).expand(*q.shape[:3], k.shape[2])
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    return kernel(q, k, v, bias, torch.is_grad_enabled(), scale=scale)[0]


def count_step(model, shape, training):
    """Count a step in bfloat16."""
    with fake_cuda(), mock.patch.object(F, 'scaled_dot_product_attention', attend_efficiently):
        images = torch.rand(shape, device='cuda')
        move_to_cuda(model)
        with KernelCounter([images, *model.parameters(), *model.buffers()]) as counter:
            run_step(model, images, torch.bfloat16, training)
    return counter.kernels, counter.moved, counter.peak
