"""Detect whether torch traces the model, and define functions that behave differently if it does.

A traced graph must not depend on the sizes of the example inputs, since it runs with other sizes. An exported graph
must not depend on the machine either.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# Size of the LRU cache of constants. Their number is large, as image sizes vary in detection.
MAX_CACHED_CONSTANTS = 512
# torch.compile of 2.13 fails on convolutions of views with symbolic strides (pytorch#188422): make views contiguous.
# Remove this constant when torch 2.13 is no longer supported.
CONV_NEEDS_CONTIGUOUS = torch.__version__.startswith('2.13.')


def is_tracing() -> bool:
    """Return whether torch.compile, torch.export or torch.jit.trace traces the caller."""
    return is_compiling() or is_exporting()


def is_compiling() -> bool:
    """Return whether torch.compile or torch.export traces the caller. Before torch 2.3, return False."""
    return hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling()


def is_exporting() -> bool:
    """Return whether torch.jit.trace traces the caller, as in an export to ONNX. The graph must work for all sizes."""
    return torch.jit.is_tracing()


def nhwc_to_nchw(x: Tensor) -> Tensor:
    """Permute (B, H, W, C) to (B, C, H, W)."""
    x = x.permute(0, 3, 1, 2)
    return x.contiguous() if CONV_NEEDS_CONTIGUOUS and is_compiling() else x


def nchw_to_nhwc(x: Tensor) -> Tensor:
    """Permute (B, C, H, W) to (B, H, W, C)."""
    return x.permute(0, 2, 3, 1)


def get_constant(make: Callable[..., Tensor], *sizes: Any, like: Tensor) -> Tensor:
    """Return the tensor ``make(*sizes, like.device)``, from a cache if possible. ``make`` must be a pure function.

    Nothing is cached when torch traces the caller, as sizes may then be SymInts, nor if ``like`` is a tensor of a
    subclass, such as a fake tensor, whose mode makes the constant one of its own.
    """
    if is_tracing() or type(like) not in (Tensor, nn.Parameter):
        return make(*sizes, like.device)
    return call_cached(make, *sizes, like.device)


@functools.lru_cache(MAX_CACHED_CONSTANTS)
def call_cached(make: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Return ``make(*arguments)`` from a cache."""
    with torch.inference_mode(False):  # training cannot use tensors that were made in inference mode
        return make(*arguments)
