"""Relative position bias of window attention, and position embedding of a feature map.

Shapes: B batch, H x W feature map, C channels, h x w window or grid, N = h*w tokens of a window, nH
    heads, T copies.

A bias table has one row per offset between two tokens of a window, (2h-1)*(2w-1) rows, and one
column per head.
"""

from math import isqrt, prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import Size, Window
from .autocast import cast_for_autocast
from .resizing import resize

# CUDA's memory-efficient attention requires the row stride of a bias to be a multiple of this
# number of elements.
ALIGNMENT = 8


class PositionTable(nn.Module):
    """Base class of layers with one parameter, a table (..., rows, columns) with one row for each
    position of a grid (h, w).

    A position is a token of a map, or for the bias an offset between two tokens of a window. The
    table of another grid is resized when it is loaded, each column as an image. A table with as
    many rows as this one's is taken to have the same grid, and any other to have a square one;
    loading fails if its number of rows is not a square. This package's reading of checkpoints,
    which knows the windows that they were trained with, resizes tables before
    (:meth:`resize_table`).
    """

    def __init__(self, grid: Size):
        super().__init__()
        self.grid = grid

    def make_table(self, *shape: int) -> nn.Parameter:
        """Return an initialised table of this shape."""
        return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.02))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        (name,) = self._parameters  # the table
        key = prefix + name
        table = state_dict.get(key)
        if table is not None and table.ndim > 1 and table.shape[-2] != prod(self.grid):
            num_rows = table.shape[-2]
            side = isqrt(num_rows)
            if side**2 == num_rows:
                state_dict[key] = self.resize_table(table, (side, side))
            else:
                errors = args[-1]  # torch raises them after all modules are loaded
                errors.append(
                    f'{key} has {num_rows} rows, which is the number of positions of no square '
                    f'grid. Weights do not say the shape of another one, so the table cannot be '
                    f'resized to the grid {self.grid}. Load it into a model with the window_size '
                    'and pretrain_img_size that it was trained with'
                )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def resize_table(self, table: Tensor, grid: Size) -> Tensor:
        """Resize the table of another grid to this one's: (..., rows, columns) to the same with
        other rows.
        """
        images = table.mT.unflatten(-1, grid)  # (..., columns, h, w)
        return resize(images, self.grid).flatten(-2).mT.contiguous()


class PositionEmbedding(PositionTable):
    """Add a learned embedding to each position of a feature map; for maps of another size than the
    grid, resize it.

    There is one embedding, also for stacked maps (T, B, H, W, C); with ``num_copies`` = T, there is
    one for each of them.
    """

    def __init__(self, embed_dims: int, grid: Size, num_copies: int | None = None):
        super().__init__(grid)
        shape: tuple[int, ...] = (prod(grid), embed_dims)
        if num_copies is not None:
            shape = (num_copies, *shape)
        self.pos_embed = self.make_table(*shape)

    def forward(self, x: Tensor) -> Tensor:
        """Add the embedding to (B, H, W, C) or (T, B, H, W, C)."""
        images = self.pos_embed.transpose(-1, -2).unflatten(-1, self.grid)  # (..., C, h, w)
        height, width = x.shape[-3:-1]
        embedding = resize(images, (height, width))
        # To (..., 1, H, W, C). Not by movedim: its ONNX operator takes no negative dimensions.
        return x + embedding.transpose(-3, -2).transpose(-2, -1).unsqueeze(-4)


class RelativePositionBias(PositionTable):
    """A learned bias for each head and each offset between a query and a key of one window (as in
    Swin).
    """

    def __init__(self, window_size: Window, num_heads: int):
        super().__init__(compute_offset_grid(window_size))
        self.window_size = window_size
        self.relative_position_bias_table = self.make_table(prod(self.grid), num_heads)
        self.register_buffer('index', None, persistent=False)
        self.reset_buffers()

    def reset_buffers(self, device: torch.device | None = None) -> None:
        """Compute the index, padded with keys to a multiple of :data:`ALIGNMENT`."""
        index = compute_position_index(self.window_size)
        index = F.pad(index, (0, -index.shape[1] % ALIGNMENT))
        self.index = index.int().to(device)  # half of the memory of int64

    def forward(self) -> Tensor:
        """Look the bias up in the table: (nH, N, N), indexed [head, query, key], in autocast's
        dtype.
        """
        # A lookup in (heads, offsets) is 3 to 5 times faster than in (offsets, heads).
        table = self.relative_position_bias_table.t().contiguous()
        bias = table.index_select(1, self.index.flatten()).unflatten(1, self.index.shape)
        # Cast after the lookup, since its gradient sums up to N values for each offset, which needs
        # float32. Slice off the padding keys. The view keeps a row stride divisible by 8, as the
        # CUDA kernel requires.
        return cast_for_autocast(bias)[..., : len(self.index)]


def compute_offset_grid(window_size: Window) -> Size:
    """Return the grid of the offsets between two tokens of a window (h, w): (2h-1, 2w-1)."""
    h, w = window_size
    return 2 * h - 1, 2 * w - 1


def compute_position_index(window_size: Window) -> Tensor:
    """Return the table row of each pair [query, key]: (N, N), with values (dy + h-1) * (2w-1) +
    (dx + w-1).

    (dy, dx) is the query's position minus the key's. The row is linear in both positions, so
    one number per token, y * (2w-1) + x, suffices.
    """
    h, w = window_size
    rows = torch.arange(h).unsqueeze(1)
    columns = torch.arange(w)
    tokens = (rows * (2 * w - 1) + columns).flatten()
    queries = tokens.unsqueeze(1)
    keys = tokens
    offset_zero = (h - 1) * (2 * w - 1) + (w - 1)  # the row of the offset (0, 0)
    return queries - keys + offset_zero
