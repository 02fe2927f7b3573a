"""Cut a feature map into windows, and merge windows into a map.

Shapes: B batch, H x W feature map, C channels, h x w window, nW windows of one image, N = h*w
    tokens of a window.

Maps are channels-last (B, H, W, C). Windows of one image lie side by side in a dimension of their
own, so that no later step can mix up the images of a batch.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .arguments import Window
from .padding import ceil_div, round_up
from .tracing import is_tracing


def window_partition(x: Tensor, window_size: Window | None) -> Tensor:
    """Pad a map and cut it into windows, row by row: (B, H, W, C) to (B, nW, N, C).

    None means one window.
    """
    if window_size is None:
        return x.flatten(1, 2).unsqueeze(1)
    h, w = window_size
    x = pad_to_windows(x, window_size)
    batch, height, width, channels = x.shape
    rows = height // h
    columns = width // w
    grid = x.reshape(batch, rows, h, columns, w, channels)
    return grid.transpose(2, 3).reshape(batch, rows * columns, h * w, channels)


def window_reverse(windows: Tensor, window_size: Window | None, size: Sequence[int]) -> Tensor:
    """Merge windows, the inverse of :func:`window_partition`: (B, nW, N, C) to (B, H, W, C) with
    ``size`` = (H, W).
    """
    if window_size is None:
        return windows.squeeze(1).unflatten(1, size)
    h, w = window_size
    height, width = size
    rows = ceil_div(height, h)
    columns = ceil_div(width, w)
    channels = windows.shape[-1]
    grid = windows.reshape(-1, rows, columns, h, w, channels)
    padded = grid.transpose(2, 3).reshape(-1, rows * h, columns * w, channels)
    x = padded[:, :height, :width]
    # A crop has other strides than a whole map, so torch.compile would compile both.
    return x.clone(memory_format=torch.contiguous_format) if is_tracing() else x


def pad_to_windows(x: Tensor, window_size: Window) -> Tensor:
    """Zero-pad a map on the right and at the bottom until whole windows cover it.

    There is no mask: padded tokens are attended like any other, as in GC ViT's detection code.
    LSA's windows, which its authors do not have, do the same.

    Shapes: (B, H, W, C) to (B, ceil(H/h)*h, ceil(W/w)*w, C).
    """
    h, w = window_size
    height, width = x.shape[1:3]
    below = round_up(height, h) - height
    right = round_up(width, w) - width
    if not is_tracing() and below == right == 0:
        return x
    return F.pad(x, (0, 0, 0, right, 0, below))


def balance_window(window_size: Window | None, size: Sequence[int]) -> Window | None:
    """Shrink a window so that the same number of windows covers a map of ``size`` = (H, W) with
    little padding.

    This is for attention without position bias. The result is never larger than ``window_size`` or
    the map. None, the whole map, stays.
    """
    if window_size is None:
        return None
    h, w = window_size
    height, width = size
    rows = ceil_div(height, h)
    columns = ceil_div(width, w)
    return ceil_div(height, rows), ceil_div(width, columns)
