"""Where one model's time goes, by type of layer, beside what the machine could do.

Layers are timed by torch's profiler in inference. A layer's work is its multiply-adds, and the bytes of its input,
output and weights; their quotient, arithmetic intensity, tells whether arithmetic or memory limits it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from .measuring import Step, time_side_by_side, wait_for

LAYER = 'layer '
ATTENTION = 'aten::scaled_dot_product_attention'


@dataclass
class LayerCost:
    """All layers of one type in one forward pass."""

    seconds: float = 0.0
    flops: int = 0  # two for each multiply-add; 0 where there are no products
    bytes: int = 0  # what has to be read and written at least


class Limits(NamedTuple):
    """What a machine reaches: floating-point operations and bytes a second."""

    flops: float
    bytes: float


def profile_layers(model: nn.Module, step: Step, device: str) -> dict[str, LayerCost]:
    """Cost of a step by type of layer, the dearest first; operations outside of layers under their own names."""
    step()
    costs: dict[str, LayerCost] = defaultdict(LayerCost)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == 'cuda' else [])
    with marked_layers(model, costs), profile(activities=activities, record_shapes=True) as profiled:
        step()
    itemsize = next(model.parameters()).element_size()
    for event in profiled.events():
        if event.device_type != DeviceType.CPU:
            continue  # kernels, whose time the operations that started them have too
        own = event.self_device_time_total if device == 'cuda' else event.self_cpu_time_total
        cost = costs[layer_of(event)]
        cost.seconds += own / 1e6
        if event.name == ATTENTION:
            # Two products and four maps; queries (W, nH, N, d), keys (W, nH, K, d).
            (windows, num_heads, queries, channels), (_, _, keys, _) = event.input_shapes[:2]
            cost.flops += 4 * windows * num_heads * queries * keys * channels
            cost.bytes += 2 * windows * num_heads * (queries + keys) * channels * itemsize
    return dict(sorted(costs.items(), key=lambda item: -item[1].seconds))


@contextmanager
def marked_layers(model: nn.Module, costs: dict[str, LayerCost]) -> Iterator[None]:
    """Let a model's innermost modules show in a profile, and count their work.

    Not by hooks: layers with hooks are given their input in one piece, which is not what is to be measured.
    """
    layers = [layer for layer in model.modules() if not list(layer.children()) and not isinstance(layer, nn.Identity)]
    for layer in layers:
        layer.forward = partial(call_marked, layer, layer.forward, costs)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def call_marked(
    layer: nn.Module, forward: Callable, costs: dict[str, LayerCost], *inputs: object, **options: object
) -> object:
    """Call a layer's forward function with a mark around it."""
    name = type(layer).__name__
    if isinstance(layer, nn.Conv2d):  # by what they cost
        name = 'Conv2d, depthwise' if layer.groups > 1 else f'Conv2d, {layer.kernel_size[0]}x{layer.kernel_size[1]}'
    with record_function(LAYER + name):
        output = forward(*inputs, **options)
    weight = getattr(layer, 'weight', None)
    if isinstance(layer, nn.Linear | nn.Conv2d):
        costs[name].flops += 2 * output.numel() * weight[0].numel()
    tensors = (x for x in (*inputs, output, weight) if isinstance(x, Tensor))
    costs[name].bytes += sum(x.numel() * x.element_size() for x in tensors)
    return output


def layer_of(event: FunctionEvent) -> str:
    """What an event of a profile belongs to: a layer, attention, or an operation outside of both."""
    name, at = event.name, event
    while at is not None:
        if at.name.startswith(LAYER):
            return at.name.removeprefix(LAYER)
        if at.name == ATTENTION:
            return 'attention'
        name, at = at.name, at.cpu_parent
    return name.removeprefix('aten::')


def machine_limits(device: str) -> Limits:
    """What the machine reaches in large matrix products (1x1 convolutions, the faster way on CPUs) and in copies."""
    images = torch.randn(1, 1024, 64, 64, device=device).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(1024, 1024, 1, 1, device=device)
    large = torch.randn(1 << 26, device=device)
    target = torch.empty_like(large)
    products = 2 * images.numel() * 1024 / fastest(lambda: torch.conv2d(images, weight), device)
    return Limits(products, 2 * large.numel() * large.element_size() / fastest(lambda: target.copy_(large), device))


def fastest(function: Callable[[], object], device: str) -> float:
    """Seconds of the fastest of five calls, after one that is not timed."""

    def step() -> None:
        function()
        wait_for(device)

    return min(time_side_by_side({'': step}, rounds=5, warmup=1)[''].seconds)
