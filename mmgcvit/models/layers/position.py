"""Relative position bias of window attention, and position embedding of a map.

Both are learned tables on a grid, resized when a state dict of another grid is loaded.

Shapes: B batch, H x W feature map, C channels, h x w window or grid, N = h*w tokens of a window, nH heads, T maps.
A bias table has one row per offset between two tokens of a window, (2h-1)*(2w-1) rows, and one column per head.
"""

from math import isqrt, prod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import Window
from .resizing import resize
from .tracing import constant, is_tracing

Grid = tuple[int, int]

# CUDA's memory-efficient attention requires the rows of a bias to begin at multiples of that many elements.
ALIGNMENT = 8


class GridTable(nn.Module):
    """Base of modules with one table of learned values on a grid, initially from a truncated normal distribution.

    A loaded table of another size is resized; it must be of a square grid, as the size of a table does not tell others.
    """

    table_name: ClassVar[str]  # of the parameter

    def __init__(self, table_shape: tuple[int, ...], grid: Grid) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.register_parameter(self.table_name, nn.Parameter(torch.empty(table_shape)))
        nn.init.trunc_normal_(self.get_parameter(self.table_name), std=0.02)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        name = prefix + self.table_name
        if name in state_dict and (num_rows := state_dict[name].shape[-2:][0]) != prod(self.grid):
            side = isqrt(num_rows)
            if side**2 != num_rows:
                raise ValueError(f'{name} has {num_rows} rows; expected {prod(self.grid)}, or those of a square grid')
            # From (..., rows, C): each column is an image.
            resized = resize(state_dict[name].mT.unflatten(-1, (side, side)), self.grid)
            state_dict = {**state_dict, name: resized.flatten(-2).mT.contiguous()}
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class PositionEmbedding(GridTable):
    """Add a learned vector to each position of a map; for maps of another size than the grid it is resized (bicubic).

    Args:
        embed_dims: C.
        grid: (h, w).
        copies: () for maps (B, H, W, C), (T,) for T stacked maps (T, B, H, W, C) with an embedding each.
    """

    table_name = 'pos_embed'

    def __init__(self, embed_dims: int, grid: Grid, copies: tuple[int, ...] = ()) -> None:
        super().__init__((*copies, prod(grid), embed_dims), grid)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C), or (T, B, H, W, C), to the same."""
        size = (x.shape[-3], x.shape[-2])
        embedding = self.pos_embed.unflatten(-2, self.grid)
        if is_tracing() or size != self.grid:
            images = embedding.transpose(-1, -2).transpose(-2, -3)  # (..., C, h, w)
            embedding = resize(images, size).transpose(-3, -2).transpose(-2, -1)
        return x + embedding.unsqueeze(-4)


class RelativePositionBias(GridTable):
    """A learned bias for each head and each offset between a query and a key of one window (as in Swin).

    In inference on a GPU the bias is cached until ``train()`` or ``eval()`` is called, the table changes or the module
    moves. Writes through ``.data`` are not noticed there: call ``eval()`` after them.

    Args:
        window: (h, w).
        num_heads: nH.
    """

    table_name = 'relative_position_bias_table'

    def __init__(self, window: Window, num_heads: int) -> None:
        grid = (2 * window[0] - 1, 2 * window[1] - 1)
        # Makes self.relative_position_bias_table, by table_name.
        super().__init__((prod(grid), num_heads), grid)
        self.window = tuple(window)
        self.cached: tuple[Any, ...] | None = None

    @staticmethod
    def index_of(shape: Window, device: torch.device | None = None) -> Tensor:
        """Rows of the table for every pair of tokens: (N, N), [query, key] -> (dy + h-1) * (2w-1) + (dx + w-1).

        dy and dx are query minus key. The row is linear in both, so it is a difference of one number per token.
        """
        columns = 2 * shape[1] - 1
        y = torch.arange(shape[0], device=device) * columns
        x = torch.arange(shape[1], device=device)
        token = (y[:, None] + x[None, :]).flatten()
        centre = (2 * shape[0] - 1) * columns // 2
        return token[:, None] - token[None, :] + centre

    def forward(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return the bias, (nH, N, N), indexed [head, query, key], in the table's dtype or another."""
        table = self.relative_position_bias_table
        # A CPU gathers it in 0.2 % of the time.
        is_fresh = self.training or torch.is_grad_enabled() or is_tracing() or table.device.type in ('cpu', 'meta')
        if is_fresh or type(table) is not nn.Parameter or table.is_inference():
            return self.gather(table, dtype)
        key, cached = (id(table), table._version, dtype), self.cached  # which another thread may replace
        if cached is None or cached[0] != key:
            self.cached = cached = key, self.gather(table, dtype), table  # the table, so that no other one gets its id
        return cached[1]

    def gather(self, table: Tensor, dtype: torch.dtype | None) -> Tensor:
        """The table's rows at the index, head by head."""
        index = constant(aligned_index, self.window, like=table)
        # From one contiguous row per head: 3 to 5 times faster than gathering rows of heads.
        bias = table.T.contiguous().index_select(1, index.flatten()).unflatten(1, index.shape)
        return bias.to(dtype or bias.dtype)[..., : index.shape[0]]

    def train(self, mode: bool = True) -> 'RelativePositionBias':
        """Set the mode, and drop the cached bias."""
        self.cached = None
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> 'RelativePositionBias':
        self.cached = None
        return super()._apply(*args, **kwargs)


def aligned_index(window: Window, device: torch.device) -> Tensor:
    """The index; on CUDA its rows are padded to a multiple of ``ALIGNMENT`` with 0, a valid row of the table."""
    index = RelativePositionBias.index_of(window, device)
    return F.pad(index, (0, -index.shape[1] % ALIGNMENT)) if device.type == 'cuda' else index
