"""Linear layers, computed by the faster of the two libraries that a CPU build of torch has for them."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .chunked import has_own_hooks
from .tracing import is_tracing

# Convolutions of maps with fewer elements do not go to oneDNN.
LEAST = 20480
CPUINFO = Path('/proc/cpuinfo')


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer(x)``, for a linear layer or what a tool has put in its place: (..., C) to (..., C').

    torch gives float32 products of linear layers to MKL and convolutions to oneDNN. On processors that are not Intel's
    oneDNN is as fast or up to twice as fast, so there the layer's products are computed as the 1x1 convolutions that
    they are. The layer itself is torch's, and is called: hooks, adapters and quantization meet what they look for.
    """
    if not is_tracing() and mkl_is_slow() and suits_onednn(x):
        with ProductsAsConvolutions():
            return layer(x)
    return layer(x)


class ProductsAsConvolutions(TorchFunctionMode):
    """Inside of this context ``F.linear`` is computed by oneDNN where that serves."""

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is F.linear and not kwargs and suits_onednn(*args[:2]):
            return linear_as_convolution(*args)
        return function(*args, **(kwargs or {}))


def suits_onednn(*tensors: Tensor) -> bool:
    """Whether a convolution of these tokens (and these weights) goes to oneDNN."""
    plain = all(x.device.type == 'cpu' and x.dtype == torch.float32 for x in tensors)
    return plain and type(tensors[-1]) in (Tensor, nn.Parameter) and tensors[0].numel() > LEAST


def linear_as_convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear layer of tokens (..., C) as a 1x1 convolution of a channels-last map, without a copy."""
    tokens = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    out = F.conv2d(tokens, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


def is_plain(layer: nn.Module) -> bool:
    """Whether a linear layer or convolution is torch's, nobody looks at it, and its weights can stand for it."""
    plain = type(layer) in (nn.Linear, nn.Conv2d) and 'forward' not in vars(layer) and not has_own_hooks(layer)
    return plain and (is_tracing() or type(layer.weight) in (Tensor, nn.Parameter))


@functools.cache
def mkl_is_slow() -> bool:
    """Whether torch's linear layers go to MKL on a processor of another maker than Intel."""
    return torch.backends.mkl.is_available() and CPUINFO.is_file() and 'GenuineIntel' not in CPUINFO.read_text()
