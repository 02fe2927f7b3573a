"""Whether torch is tracing the caller into a graph, and what a trace computes in another way.

A trace serves other sizes, and an export other machines, so what is traced must not depend on them.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# Detection has new sizes in nearly every image: the constants unused for longest are dropped.
MOST_CONSTANTS = 512
# torch.compile of 2.13 cannot order strides that are symbols (pytorch#188422), and stops at convolutions of views; a
# copy has strides that it knows. To be removed with support for torch 2.13.
VIEWS_STOP_COMPILING = torch.__version__.startswith('2.13.')


def is_tracing() -> bool:
    """Whether torch.compile, torch.export, torch.jit or an ONNX exporter traces the caller."""
    return is_compiling() or is_exporting()


def is_compiling() -> bool:
    """Whether the caller runs under torch.compile or torch.export. False before torch 2.3, which cannot tell."""
    return hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling()


def is_exporting() -> bool:
    """Whether the caller is exported, and so must do without this package's operators."""
    return sizes_are_symbols() or torch.jit.is_tracing()


def sizes_are_symbols() -> bool:
    """Whether the caller is under torch.export, where sizes are symbols of which divisibility cannot be asked.

    False before torch 2.7, which cannot tell.
    """
    return hasattr(torch.compiler, 'is_exporting') and torch.compiler.is_exporting()


def to_dynamic_size(number: int) -> int:
    """Turn a symbolic size into data; otherwise torch.export makes a graph of its own for size 1."""
    return number if isinstance(number, int) else torch.scalar_tensor(number, dtype=torch.int64).item()


def channels_first(x: Tensor) -> Tensor:
    """(B, H, W, C), as transformers have maps, to (B, C, H, W), as convolutions take them."""
    x = x.permute(0, 3, 1, 2)
    return x.contiguous() if VIEWS_STOP_COMPILING and is_compiling() and not is_exporting() else x


def channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H, W, C)."""
    return x.permute(0, 2, 3, 1)


def constant(make: Callable[..., Tensor], *sizes: Any, like: Tensor) -> Tensor:
    """``make(*sizes, device)``, which depends on nothing else, on the device of ``like``, computed once and cached.

    Not cached in traces, where sizes may be symbols, and not for tensor subclasses (fake or distributed tensors), whose
    mode the constant has to be made under.
    """
    if is_tracing() or type(like) not in (Tensor, nn.Parameter):
        return make(*sizes, like.device)
    return compute_constant(make, *sizes, like.device)


@functools.lru_cache(MOST_CONSTANTS)
def compute_constant(make: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """``make(*arguments)``, cached."""
    with torch.inference_mode(False):  # training could not use a tensor made in inference mode
        return make(*arguments)
