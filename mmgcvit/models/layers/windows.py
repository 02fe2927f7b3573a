"""Pad maps and images, partition a feature map into windows, and reverse the partition. All
functions are pure.

Shapes: B batch, H x W feature map, C channels, h x w window, nW windows of one image, N = h*w
    tokens of a window. Maps
are channels-last (B, H, W, C). Windows of one image lie side by side in a dimension of their own,
so that no later step can mix up the images of a batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .arguments import Window


def is_tracing() -> bool:
    """Return whether torch.compile, torch.export or torch.jit.trace traces the caller.

    A traced graph must not depend on the sizes of the example inputs.
    """
    # torch.compiler.is_compiling is new in torch 2.3.
    return torch.jit.is_tracing() or (
        hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling()
    )


def window_partition(x: Tensor, window_size: Window | None) -> Tensor:
    """Pad a map and cut it into windows, row by row: (B, H, W, C) to (B, nW, N, C).

    None means one window.
    """
    if window_size is None:
        return x.flatten(1, 2).unsqueeze(1)
    x = pad_to_windows(x, window_size)
    batch, height, width, channels = x.shape
    h, w = window_size
    grid = x.reshape(batch, height // h, h, width // w, w, channels)
    return grid.transpose(2, 3).reshape(batch, (height // h) * (width // w), h * w, channels)


def window_reverse(windows: Tensor, window_size: Window | None, size: tuple[int, int]) -> Tensor:
    """Merge windows, the inverse of :func:`window_partition`: (B, nW, N, C) to (B, H, W, C) with
    ``size`` = (H, W).
    """
    if window_size is None:
        return windows.squeeze(1).unflatten(1, size)
    channels = windows.shape[-1]
    height, width = (round_up(side, step) for side, step in zip(size, window_size, strict=True))
    h, w = window_size
    grid = windows.reshape(-1, height // h, width // w, h, w, channels)
    cropped = grid.transpose(2, 3).reshape(-1, height, width, channels)[:, : size[0], : size[1]]
    # Copy when tracing: torch.compile would otherwise recompile for a crop, whose strides differ
    # from a whole map's.
    return cropped.clone(memory_format=torch.contiguous_format) if is_tracing() else cropped


def pad_to_windows(x: Tensor, window_size: Window) -> Tensor:
    """Zero-pad a map on the right and at the bottom until whole windows cover it.

    Padded tokens are attended like any other (no mask), as in the authors' detection code.

    Shapes: (B, H, W, C) to (B, ceil(H/h)*h, ceil(W/w)*w, C).
    """
    below, right = (
        round_up(side, step) - side for side, step in zip(x.shape[1:3], window_size, strict=True)
    )
    # Always pad when tracing, as a branch would make the graph valid only for divisible or only for
    # other sizes.
    if not is_tracing() and below == right == 0:
        return x
    return F.pad(x, (0, 0, 0, right, 0, below))


def pad_images(images: Tensor, divisor: int) -> Tensor:
    """Pad images (B, C, H, W) with zeros at the right and bottom, so that ``divisor`` divides both
    sides.
    """
    if divisor <= 1:
        return images
    bottom, right = (round_up(side, divisor) - side for side in images.shape[-2:])
    return F.pad(images, (0, right, 0, bottom))


def balance_window(window_size: Window, size: tuple[int, int]) -> Window:
    """Shrink a window so that the same number of windows covers a map of ``size`` = (H, W) with
    little padding.

    This is for attention without position bias. The result is never larger than ``window_size`` or
    the map.
    """
    height, width = (
        ceil_div(side, ceil_div(side, max_side))
        for side, max_side in zip(size, window_size, strict=True)
    )
    return height, width


def ceil_div(side: int, step: int) -> int:
    """Divide and round up.

    Only for positive numbers, since exporters round negative ones differently.
    """
    return (side + step - 1) // step


def round_up(side: int, step: int) -> int:
    """Round up to a multiple of ``step``."""
    return ceil_div(side, step) * step
