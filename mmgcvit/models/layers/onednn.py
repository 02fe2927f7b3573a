"""Linear layers on a CPU, computed by the faster of the two libraries that torch has for matrix products."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .tracing import is_tracing

# torch gives 1x1 convolutions of maps with no more elements, and all of them where one thread computes, to MKL too.
LEAST = 20480
CPUINFO = Path('/proc/cpuinfo')


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer(x)``, for a linear layer or what a tool has put in its place: (..., C) to (..., C').

    torch computes float32 linear layers with MKL and convolutions with oneDNN. On processors of other makers than Intel
    oneDNN is up to twice as fast, so there ``F.linear`` is computed as a 1x1 convolution while the layer is called,
    with more threads than one.
    The layer stays torch's own, so that hooks, adapters and quantization work.
    """
    if not is_tracing() and mkl_is_slow() and suits_onednn(x):
        with ProductsAsConvolutions():
            return layer(x)
    return layer(x)


class ProductsAsConvolutions(TorchFunctionMode):
    """A context in which ``F.linear`` is computed by oneDNN, for tensors that it takes."""

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is F.linear and not kwargs and suits_onednn(*args[:2]):
            return linear_as_convolution(*args)
        return function(*args, **(kwargs or {}))


def suits_onednn(*tensors: Tensor) -> bool:
    """Whether torch gives a 1x1 convolution of tokens, or of tokens and weights, to oneDNN."""
    plain = all(x.device.type == 'cpu' and x.dtype == torch.float32 for x in tensors)
    many = tensors[0].numel() > LEAST and torch.get_num_threads() > 1
    return plain and many and type(tensors[-1]) in (Tensor, nn.Parameter)


def linear_as_convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear layer of tokens (..., C) as a 1x1 convolution of a channels-last map, without a copy."""
    tokens = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    out = F.conv2d(tokens, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


@functools.cache
def mkl_is_slow() -> bool:
    """Whether torch computes linear layers with MKL, and the processor is of another maker than Intel."""
    return torch.backends.mkl.is_available() and CPUINFO.is_file() and 'GenuineIntel' not in CPUINFO.read_text()
