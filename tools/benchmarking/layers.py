"""Where one model's time goes, by type of layer, beside what the machine could do.

Layers are timed by torch's profiler in inference. A layer's work is its multiply-adds, and the bytes of its input,
output and weights; their quotient, arithmetic intensity, tells whether arithmetic or memory limits it.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from .cases import Case

LAYER = 'layer '
ATTENTION = 'aten::scaled_dot_product_attention'


@dataclass
class LayerCost:
    """All layers of one type.

    Attributes:
        seconds: Of one forward pass of the model.
        flops: Floating-point operations, two for each multiply-add; 0 where there are no products.
        bytes: What has to be read and written at least.
    """

    seconds: float = 0.0
    flops: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Limits:
    """What a machine reaches: floating-point operations and bytes a second."""

    flops: float
    bytes: float


def profile_layers(model: nn.Module, case: Case) -> dict[str, LayerCost]:
    """Cost by type of layer, the dearest first; operations outside of layers under their own names."""
    step = case.prepare(model)
    step()
    costs: dict[str, LayerCost] = defaultdict(LayerCost)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if case.device == 'cuda' else [])
    with marked_layers(model, costs), profile(activities=activities, record_shapes=True) as profiled:
        step()
    for event in profiled.events():
        if event.device_type != DeviceType.CPU:
            continue  # kernels, whose time the operations that started them have too
        own = event.self_device_time_total if case.device == 'cuda' else event.self_cpu_time_total
        cost = costs[layer_of(event)]
        cost.seconds += own / 1e6
        if event.name == ATTENTION:
            add_attention(cost, event.input_shapes[:2], case.precision.dtype.itemsize)
    return dict(sorted(costs.items(), key=lambda item: -item[1].seconds))


@contextmanager
def marked_layers(model: nn.Module, costs: dict[str, LayerCost]) -> Iterator[None]:
    """Let a model's innermost modules show in a profile, and count their work.

    Not by hooks: layers with hooks are given their input in one piece, which is not what is to be measured.
    """
    layers = [layer for layer in model.modules() if not list(layer.children()) and not isinstance(layer, nn.Identity)]
    for layer in layers:
        layer.forward = marked(layer, layer.forward, costs)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def marked(layer: nn.Module, forward: Callable, costs: dict[str, LayerCost]) -> Callable:
    """A layer's forward function, with a mark around it."""

    def call(*inputs: object, **options: object) -> object:
        with record_function(LAYER + name_of(layer)):
            output = forward(*inputs, **options)
        cost, weight = costs[name_of(layer)], getattr(layer, 'weight', None)
        if isinstance(layer, nn.Linear | nn.Conv2d):
            cost.flops += 2 * output.numel() * weight[0].numel()
        tensors = (x for x in (*inputs, output, weight) if isinstance(x, Tensor))
        cost.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return output

    return call


def name_of(layer: nn.Module) -> str:
    """The type of a layer; convolutions by what they cost, depthwise ones on their own."""
    if isinstance(layer, nn.Conv2d):
        return 'Conv2d, depthwise' if layer.groups > 1 else f'Conv2d, {layer.kernel_size[0]}x{layer.kernel_size[1]}'
    return type(layer).__name__


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


def add_attention(cost: LayerCost, shapes: list[list[int]], itemsize: int) -> None:
    """Count the two products of attention, and its four maps; queries (W, nH, N, d), keys (W, nH, K, d)."""
    (windows, num_heads, queries, channels), (_, _, keys, _) = shapes
    cost.flops += 4 * windows * num_heads * queries * keys * channels
    cost.bytes += 2 * windows * num_heads * (queries + keys) * channels * itemsize


def machine_limits(case: Case, repeats: int = 5) -> Limits:
    """What the machine reaches in large matrix products (1x1 convolutions, the faster way on CPUs) and in copies."""
    images = torch.randn(1, 1024, 64, 64, device=case.device, dtype=case.precision.dtype)
    images = images.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(1024, 1024, 1, 1, device=case.device, dtype=case.precision.dtype)
    large = torch.randn(1 << 26, device=case.device)
    target = torch.empty_like(large)
    products = 2 * images.numel() * 1024 / fastest(lambda: torch.conv2d(images, weight), case.device, repeats)
    copies = 2 * large.numel() * large.element_size() / fastest(lambda: target.copy_(large), case.device, repeats)
    return Limits(products, copies)


def fastest(function: Callable[[], object], device: str, repeats: int) -> float:
    """Seconds of the fastest of a few calls."""
    found = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        function()
        if device == 'cuda':
            torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return min(found[1:])
