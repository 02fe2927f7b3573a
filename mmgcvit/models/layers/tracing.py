"""Detect tracing, and define helpers that behave differently under it.

A traced graph runs with other input sizes, an exported one on other machines. It must depend on neither.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# Size of the LRU cache, as input sizes vary in detection.
MAX_CACHED_CONSTANTS = 512
# torch.compile of 2.13 fails on convolutions of views with symbolic strides (pytorch#188422): make them contiguous.
# Remove with support for torch 2.13.
CONV_NEEDS_CONTIGUOUS = torch.__version__.startswith('2.13.')


def is_tracing() -> bool:
    """Return whether torch.compile, torch.export, torch.jit or an ONNX exporter traces the caller."""
    return is_compiling() or is_exporting()


def is_compiling() -> bool:
    """Return whether the caller runs under torch.compile or torch.export; False before torch 2.3, which cannot tell."""
    return hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling()


def is_exporting() -> bool:
    """Return whether the caller is exported or traced by torch.jit, where custom operators are not allowed."""
    return is_torch_export() or torch.jit.is_tracing()


def is_torch_export() -> bool:
    """Return whether the caller runs under torch.export, where sizes are SymInts and divisibility is unknown.

    False before torch 2.7, which cannot tell.
    """
    return hasattr(torch.compiler, 'is_exporting') and torch.compiler.is_exporting()


def to_unbacked_size(size: int) -> int:
    """Turn a backed SymInt into an unbacked one, so that torch.export does not specialise on size 1."""
    return size if isinstance(size, int) else torch.scalar_tensor(size, dtype=torch.int64).item()


def nhwc_to_nchw(x: Tensor) -> Tensor:
    """Permute (B, H, W, C) to (B, C, H, W)."""
    x = x.permute(0, 3, 1, 2)
    return x.contiguous() if CONV_NEEDS_CONTIGUOUS and is_compiling() and not is_exporting() else x


def nchw_to_nhwc(x: Tensor) -> Tensor:
    """Permute (B, C, H, W) to (B, H, W, C)."""
    return x.permute(0, 2, 3, 1)


def constant(make: Callable[..., Tensor], *sizes: Any, like: Tensor) -> Tensor:
    """Return ``make(*sizes, like.device)``, cached; ``make`` must be a pure function.

    It is not cached in traces, where sizes may be SymInts, nor for tensor subclasses (fake or distributed tensors),
    which need a constant of their own mode.
    """
    if is_tracing() or type(like) not in (Tensor, nn.Parameter):
        return make(*sizes, like.device)
    return call_cached(make, *sizes, like.device)


@functools.lru_cache(MAX_CACHED_CONSTANTS)
def call_cached(make: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Return ``make(*arguments)``, cached."""
    with torch.inference_mode(False):  # training could not use a tensor made in inference mode
        return make(*arguments)
