"""Pad images to multiples of a number, and the integer arithmetic of padding."""

from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor

Length = TypeVar('Length', int, Tensor)


def pad_images(images: Tensor, divisor: int) -> Tensor:
    """Pad images (B, C, H, W) with zeros at the right and bottom, so that ``divisor`` divides both
    sides.
    """
    height, width = images.shape[-2:]
    bottom = round_up(height, divisor) - height
    right = round_up(width, divisor) - width
    return F.pad(images, (0, right, 0, bottom))


def round_up(side: int, step: int) -> int:
    """Round up to a multiple of ``step``."""
    return ceil_div(side, step) * step


def ceil_div(side: Length, step: int) -> Length:
    """Divide and round up.

    Only for positive numbers, since exporters round negative ones differently.
    """
    return (side + step - 1) // step
