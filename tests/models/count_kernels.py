"""Count the kernels, traffic and peak memory of a step on CUDA, without a GPU: on fake tensors.

Every operator that is not a view counts as one kernel, which reads its inputs and writes its outputs once. Attention is
torch's memory-efficient kernel. Constants that are cached between steps are not counted, nor are loss and optimizer.
"""

import re
from typing import NamedTuple
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from .fake_cuda import back, fake_cuda

# Operators without a kernel: views, sizes and allocations.
VIEWS = re.compile(
    r'(_unsafe_)?view|permute|expand|slice|select|t|transpose|detach|alias|(un)?squeeze|split(_with_sizes)?|unbind|unfold'
    r'|as_strided|getitem|_?reshape(_alias)?|lift_fresh_copy|chunk|diagonal|(new_)?empty(_like)?|sym_\w+|is_same_size'
)
RANDOM = ('bernoulli', 'bernoulli_', 'rand', 'native_dropout')


class Counts(NamedTuple):
    kernels: int
    gigabytes: float
    peak_gigabytes: float


def count_step(model, image_shape, training):
    """Count a step of a model on the meta device in bfloat16: inference, or forward and backward of all maps."""
    step = Step(model.train(training), training)
    parameters, buffers = dict(step.named_parameters()), dict(step.named_buffers())

    def run_step(weights, buffers, images):
        # Leaves, so that they get gradients.
        leaves = {
            name: weight.detach().requires_grad_(training and parameters[name].requires_grad)
            for name, weight in weights.items()
        }
        maps = torch.func.functional_call(step, {**leaves, **buffers}, (images,))
        return maps, [leaf.grad for leaf in leaves.values()]

    with fake_cuda(), mock.patch.object(F, 'scaled_dot_product_attention', attend_efficiently):
        tensors = [
            {name: torch.empty(x.shape, dtype=x.dtype, device='cuda') for name, x in state.items()}
            for state in (parameters, buffers)
        ]
        graph = make_fx(run_step)(*tensors, torch.rand(image_shape, device='cuda')).graph
    return count_graph(graph)


class Step(nn.Module):
    """Forward and, in training, backward pass: in one module, since checkpointing calls layers in both."""

    def __init__(self, model, training):
        super().__init__()
        self.model = model
        self.has_backward = training

    def forward(self, images):
        with torch.autocast('cuda', torch.bfloat16), torch.set_grad_enabled(self.has_backward):
            maps = self.model(images)
        if not self.has_backward:
            return maps
        back(sum(x.float().mean() for x in maps))
        return None


def attend_efficiently(q, k, v, attn_mask=None, scale=None, **_):
    """Call the kernel that CUDA would choose; without a driver torch chooses the math kernel."""
    if attn_mask is None:
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, scale=scale)[0]
    bias = attn_mask.to(q.dtype).expand(*q.shape[:3], k.shape[2])
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    return kernel(q, k, v, bias, torch.is_grad_enabled(), scale=scale)[0]


def count_graph(graph):
    """Count the kernels of a graph of make_fx, the bytes that they read and write, and the memory alive at once."""
    kernels = moved = 0
    first_use, last_use, sizes, inputs, computed = {}, {}, {}, set(), set()
    for position, node in enumerate(graph.nodes):
        name = getattr(node.target, '__name__', str(node.target)).split('.')[0]
        if node.op == 'placeholder' or name in RANDOM or computed.intersection(node.all_input_nodes):
            computed.add(node)
        outputs = find_tensors(node.meta.get('val'))
        operands = [x for operand in node.all_input_nodes for x in find_tensors(operand.meta.get('val'))]
        for x in outputs:
            storage = x.untyped_storage()
            first_use.setdefault(storage._cdata, position)
            sizes[storage._cdata] = storage.nbytes()
            if node.op == 'placeholder':
                inputs.add(storage._cdata)
        for x in [*outputs, *operands]:
            last_use[x.untyped_storage()._cdata] = position
        if node.op == 'call_function' and not VIEWS.fullmatch(name) and node in computed:
            kernels += 1
            moved += sum(count_bytes(x) for x in [*operands, *outputs])
    changes = [
        change
        for key in first_use.keys() - inputs
        for change in ((first_use[key], sizes[key]), (last_use[key] + 1, -sizes[key]))
    ]
    alive = peak = 0
    for _, change in sorted(changes):
        alive += change
        peak = max(peak, alive)
    return Counts(kernels, moved / 1e9, peak / 1e9)


def find_tensors(value):
    if isinstance(value, (list, tuple)):
        return [x for item in value for x in find_tensors(item)]
    return [value] if isinstance(value, torch.Tensor) else []


def count_bytes(x):
    """Count the bytes of a tensor, without dimensions that are expanded."""
    numel = 1
    for size, stride in zip(x.shape, x.stride(), strict=True):
        numel *= size if stride else 1
    return numel * x.element_size()
