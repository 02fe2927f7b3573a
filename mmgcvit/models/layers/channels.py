"""Maps with channels last, as transformers have them, and first, as convolutions take them."""

import torch
from torch import Tensor

from .tracing import is_compiling, is_exporting

# torch.compile of 2.13 cannot order strides that are symbols (pytorch#188422), and stops at convolutions of views; a
# copy has strides that it knows. To be removed with support for it.
VIEWS_STOP_COMPILING = torch.__version__.startswith('2.13.')


def channels_first(x: Tensor) -> Tensor:
    """(B, H, W, C) to (B, C, H, W)."""
    x = x.permute(0, 3, 1, 2)
    return x.contiguous() if VIEWS_STOP_COMPILING and is_compiling() and not is_exporting() else x


def channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H, W, C)."""
    return x.permute(0, 2, 3, 1)
