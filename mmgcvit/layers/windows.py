"""Windows of a feature map, as pure functions: pad, partition, unpartition, unpad.

Legend: B batch, H x W feature map, C channels, h x w window, nW windows of one image, N = h*w tokens of a window.
Maps are channels-last (B, H, W, C). Windows of one image lie side by side in a dimension of their own, so that no
later step can mix up the images of a batch.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from .arguments import whole_numbers

Window = tuple[int, int]
WindowSize = int | Sequence[int | Window]


def pad_to_windows(x: Tensor, window: Window) -> Tensor:
    """Zero-pad a map on the right and at the bottom until whole windows cover it.

    Padded tokens are attended like any other (no mask): the published weights were trained so.

    Shapes: (B, H, W, C) to (B, ceil(H/h)*h, ceil(W/w)*w, C); a map that fits is returned as it is.
    """
    height, width = x.shape[1:3]
    missing_rows, missing_columns = -height % window[0], -width % window[1]
    if not (missing_rows or missing_columns):
        return x
    return F.pad(x, (0, 0, 0, missing_columns, 0, missing_rows))


def unpad(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo :func:`pad_to_windows`: crop (B, H', W', C) to (B, H, W, C) with ``size`` = (H, W)."""
    return x[:, : size[0], : size[1]]


def window_partition(x: Tensor, window: Window) -> Tensor:
    """Cut a map into windows, row by row: (B, H, W, C) to (B, nW, N, C). H and W are multiples of h and w."""
    batch, height, width, channels = x.shape
    h, w = window
    grid = x.reshape(batch, height // h, h, width // w, w, channels)
    return grid.transpose(2, 3).reshape(batch, -1, h * w, channels)


def window_unpartition(windows: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    """Undo :func:`window_partition`: (B, nW, N, C) to (B, H, W, C) with ``size`` = (H, W)."""
    batch, _, _, channels = windows.shape
    (height, width), (h, w) = size, window
    grid = windows.reshape(batch, height // h, width // w, h, w, channels)
    return grid.transpose(2, 3).reshape(batch, height, width, channels)


def resolve_windows(window_size: WindowSize, num_stages: int) -> tuple[Window, ...]:
    """Read a ``window_size`` argument: one window for all stages or one per stage, each a side or a pair (h, w).

    Raises:
        ValueError: The wrong number of windows, or a side below 1.
        TypeError: Something else than whole numbers, or sequences of them.
    """
    allowed = f'expected a whole number of at least 1, or {num_stages} of them or of pairs (h, w), one per stage'
    given = list(window_size) if is_sequence(window_size) else [window_size] * num_stages
    if len(given) != num_stages:
        raise ValueError(f'window_size is {window_size!r}, {len(given)} entries; {allowed}')
    try:
        windows = [whole_numbers(window if is_sequence(window) else (window, window)) for window in given]
    except TypeError as error:
        raise TypeError(f'window_size is {window_size!r}, and {error}; {allowed}') from None
    for window in windows:
        if len(window) != 2 or min(window) < 1:
            raise ValueError(f'window_size is {window_size!r}, with a window {window}; {allowed}')
    return tuple((height, width) for height, width in windows)


def is_sequence(value: object) -> bool:
    """Whether a value is a list, a tuple or the like, not text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
