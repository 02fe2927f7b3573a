"""Relative position bias of window attention, and position embedding of a feature map.

Bias and embedding are parameters on a grid. They are resized when a state dict with another grid is
loaded.

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

from .arguments import Window
from .blocks import cast_for_autocast
from .resizing import resize

Grid = tuple[int, int]

# CUDA's memory-efficient attention requires the row stride of a bias to be a multiple of this
# number of elements.
ALIGNMENT = 8


class PositionEmbedding(nn.Module):
    """Add a learned embedding to each position of a feature map; for maps of another size than the
    grid, resize it.

    ``copies`` is () for one embedding, also of stacked maps (T, B, H, W, C), or (T,) for one of
    each of T maps.
    """

    def __init__(self, embed_dims: int, grid: Grid, copies: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.pos_embed = nn.Parameter(torch.empty(*copies, prod(grid), embed_dims))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        state_dict = resize_table(state_dict, f'{prefix}pos_embed', self.grid)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """Add the embedding to (B, H, W, C) or (T, B, H, W, C)."""
        images = (
            self.pos_embed.unflatten(-2, self.grid).transpose(-1, -2).transpose(-2, -3)
        )  # (..., C, h, w)
        embedding = resize(images, (x.shape[-3], x.shape[-2])).transpose(-3, -2).transpose(-2, -1)
        return x + embedding.unsqueeze(-4)


class RelativePositionBias(nn.Module):
    """A learned bias for each head and each offset between a query and a key of one window (as in
    Swin).
    """

    def __init__(self, window_size: Window, num_heads: int) -> None:
        super().__init__()
        self.window_size = tuple(window_size)
        self.grid = (2 * window_size[0] - 1, 2 * window_size[1] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.empty(prod(self.grid), num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer('index', self.make_index(), persistent=False)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        state_dict = resize_table(state_dict, f'{prefix}relative_position_bias_table', self.grid)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        # If the model was built on the meta device, the buffer is still there, or uninitialised
        # after to_empty().
        self.index = self.make_index().to(self.relative_position_bias_table.device)

    def make_index(self) -> Tensor:
        """Return the index, padded with keys to a multiple of :data:`ALIGNMENT`."""
        index = self.compute_index(self.window_size)
        return F.pad(index, (0, -index.shape[1] % ALIGNMENT)).int()  # half of the memory of int64

    @staticmethod
    def compute_index(window_size: Window) -> Tensor:
        """Return the table row of each pair [query, key]: (N, N), with values (dy + h-1) * (2w-1) +
        (dx + w-1).

        (dy, dx) is the query's position minus the key's. The row is linear in both positions, so
        one number per token, y * (2w-1) + x, suffices.
        """
        row_length = 2 * window_size[1] - 1
        y = torch.arange(window_size[0]) * row_length
        x = torch.arange(window_size[1])
        token = (y[:, None] + x[None, :]).flatten()
        centre = (2 * window_size[0] - 1) * row_length // 2  # the row of the offset (0, 0)
        return token[:, None] - token[None, :] + centre

    def forward(self) -> Tensor:
        """Look the bias up in the table: (nH, N, N), indexed [head, query, key], in autocast's
        dtype.
        """
        # A lookup in (heads, offsets) is 3 to 5 times faster than in (offsets, heads).
        table = self.relative_position_bias_table.t().contiguous()
        bias = table.index_select(1, self.index.flatten()).unflatten(1, self.index.shape)
        # Cast after the lookup, since its gradient sums up to N values for each offset, which needs
        # float32.
        return cast_for_autocast(bias)[
            ..., : len(self.index)
        ]  # without the added keys, but with their stride


def resize_table(state_dict: dict[str, Any], name: str, grid: Grid) -> dict[str, Any]:
    """Return a state dict whose table ``name`` (..., rows, columns) has one row for each position
    of a grid (h, w).

    Each column of a table of another size is resized as an image. Its grid must be square, since a
    state dict does not store the shape. Raise a ValueError if the number of rows is neither h*w nor
    a square number.
    """
    table = state_dict.get(name)
    if table is None or table.ndim < 2 or table.shape[-2] == prod(grid):
        return state_dict
    side = isqrt(table.shape[-2])
    if side**2 != table.shape[-2]:
        raise ValueError(
            f'{name} has {table.shape[-2]} rows; expected {prod(grid)}, or another square number'
        )
    resized = resize(table.mT.unflatten(-1, (side, side)), grid)
    return {**state_dict, name: resized.flatten(-2).mT.contiguous()}
