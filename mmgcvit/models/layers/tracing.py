"""Detect whether torch traces the model, and define functions that behave differently if it does.

A traced graph must not depend on the sizes of the example inputs, since it runs with other sizes. An exported graph
must not depend on the machine either.
"""

import torch
from torch import Tensor

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
