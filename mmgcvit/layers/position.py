"""Learned values on a grid: the relative position bias of a window, and position embeddings of a map.

Legend: h x w window or grid, N = h*w, nH heads, B batch, H x W feature map, C channels.
A bias table has one row per offset between two tokens of a window, (2h-1)*(2w-1) rows, and one column per head.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .constants import constant
from .resizing import resize
from .tracing import is_tracing
from .windows import Window

Grid = tuple[int, int]

TABLE_NAME = 'relative_position_bias_table'
EMBEDDING_NAME = 'pos_embed'
# Kept beside the table of an oblong window, and the embedding of an oblong grid, whose size does not tell it.
WINDOW_NAME = 'window_shape'
GRID_NAME = 'grid_shape'

# torch's memory-efficient attention wants rows of a bias to begin at multiples of that many elements.
ALIGNMENT = 8
# Larger ones are made anew, for one percent of the time: with windows of 24, 30 blocks would keep 340 MB.
MOST_BYTES_KEPT_ON_CPU = 1 << 20


def table_grid(window: Window) -> Grid:
    """Rows and columns of a table seen as an image: (2h-1, 2w-1), one pixel per offset between two tokens."""
    return 2 * window[0] - 1, 2 * window[1] - 1


def relative_position_index(window: Window, device: torch.device | None = None) -> Tensor:
    """Rows of the table for every pair of tokens: (N, N), [query, key] -> (dy + h-1) * (2w-1) + (dx + w-1).

    dy and dx are query minus key. The row is linear in the tokens' places, so it is a difference of two numbers that
    depend on one token each.
    """
    rows, columns = table_grid(window)
    y = torch.arange(window[0], device=device) * columns
    x = torch.arange(window[1], device=device)
    token = (y[:, None] + x[None, :]).flatten()
    centre = rows * columns // 2
    return token[:, None] - token[None, :] + centre


def aligned_index(window: Window, device: torch.device) -> Tensor:
    """The index with rows as attention kernels of the device want them: (N, at least N)."""
    index = relative_position_index(window, device)
    return align_rows(index) if device.type == 'cuda' else index


def align_rows(index: Tensor) -> Tensor:
    """Make rows longer, until each begins at a multiple of the alignment; what is added points at row 0."""
    return F.pad(index, (0, -index.shape[1] % ALIGNMENT))


def resize_table(table: Tensor, source: Grid, target: Grid) -> Tensor:
    """Resize a table of values on a grid, each of its columns as an image (bicubic, corners not aligned).

    Args:
        table: (..., rows of the source grid * its columns, C).
        source: The grid of the given table, for example (2h-1, 2w-1).
        target: The grid to resize to.

    Returns:
        (..., target rows * target columns, C) in the table's dtype; outside of a trace, the table itself where the
        grids are equal.
    """
    if not is_tracing() and source == target:
        return table
    return resize(table.mT.unflatten(-1, source), target).flatten(-2).mT.contiguous()


def square_side(num_rows: int) -> int | None:
    """The side of the square of that many places, None if there is none."""
    side = math.isqrt(num_rows)
    return side if side * side == num_rows else None


def square_grid(num_rows: int) -> Grid:
    """The grid of a square window's table with that many rows, for example 169 -> (13, 13) for windows of 7.

    Raises:
        ValueError: The rows do not come from a square window.
    """
    side = square_side(num_rows)
    if side is None or side % 2 == 0:
        raise ValueError(
            f'a relative position bias table of {num_rows} rows does not belong to a square window: expected '
            '(2w-1)*(2w-1) rows, for example 169 for windows of 7'
        )
    return side, side


def stored_grid(state_dict: Mapping[str, Tensor], table_name: str) -> Grid:
    """The grid of a table in a state dict, from the window kept beside it or, without one, of a square window.

    Raises:
        ValueError: The table's rows are not those of its window, or of any square window.
    """
    num_rows = state_dict[table_name].shape[0]
    window = state_dict.get(table_name.removesuffix(TABLE_NAME) + WINDOW_NAME)
    if window is None:
        return square_grid(num_rows)
    grid = table_grid((int(window[0]), int(window[1])))
    if grid[0] * grid[1] != num_rows:
        raise ValueError(
            f'{table_name} has {num_rows} rows; its window {tuple(window.tolist())} needs {grid[0] * grid[1]}'
        )
    return grid


def stored_embedding_grid(state_dict: Mapping[str, Tensor], name: str) -> Grid:
    """The grid of an embedding in a state dict: the one kept beside it, or without one a square.

    Raises:
        ValueError: The embedding's rows are not those of its grid, or of any square.
    """
    num_rows = state_dict[name].shape[-2]
    kept = state_dict.get(name.removesuffix(EMBEDDING_NAME) + GRID_NAME)
    if kept is None:
        side = square_side(num_rows)
        if side is None:
            raise ValueError(f'a position embedding of {num_rows} rows belongs to no square grid')
        return side, side
    grid = (int(kept[0]), int(kept[1]))
    if grid[0] * grid[1] != num_rows:
        raise ValueError(f'{name} has {num_rows} rows; its grid {grid} needs {grid[0] * grid[1]}')
    return grid


class GridValues(nn.Module):
    """Base of learned values on a grid. Values on another grid are resized when a state dict is loaded.

    Args:
        values: The parameter's initial shape, (..., rows * columns, C), drawn from a truncated normal distribution.
        grid: Rows and columns of the values.
        shape: What the state dict of an oblong module tells, (h, w).
    """

    values_name: ClassVar[str]
    shape_name: ClassVar[str]
    find_grid: ClassVar[Callable[[Mapping[str, Tensor], str], Grid]]

    def __init__(self, values: tuple[int, ...], grid: Grid, shape: tuple[int, int]) -> None:
        super().__init__()
        self.values_grid = grid
        self.shape = tuple(shape)
        self.register_parameter(self.values_name, nn.Parameter(torch.empty(values)))
        nn.init.trunc_normal_(self.get_parameter(self.values_name), std=0.02)
        if shape[0] != shape[1]:
            self.register_buffer(self.shape_name, torch.tensor(self.shape))

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        if self.shape_name in self._buffers:  # whose contents are undefined after Module.to_empty
            self.get_buffer(self.shape_name).copy_(torch.tensor(self.shape))
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        key, shape_key = prefix + self.values_name, prefix + self.shape_name
        if key in state_dict:
            source = type(self).find_grid(state_dict, key)
            state_dict = {**state_dict, key: resize_table(state_dict[key], source, self.values_grid)}
            state_dict.pop(shape_key, None)
            if self.shape_name in self._buffers:
                state_dict[shape_key] = torch.tensor(self.shape)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class RelativePositionBias(GridValues):
    """A learned bias for each head and each offset between a query and a key of one window (as in Swin).

    In inference the bias is kept from one call to the next, until the mode is set (``train()`` or ``eval()``), the
    table is changed, or the module is moved or loaded.

    Args:
        window: (h, w).
        num_heads: nH.
    """

    values_name = TABLE_NAME
    shape_name = WINDOW_NAME
    find_grid = staticmethod(stored_grid)

    def __init__(self, window: Window, num_heads: int) -> None:
        grid = table_grid(window)
        super().__init__((grid[0] * grid[1], num_heads), grid, window)
        self.window = tuple(window)
        self.kept: KeptBias | None = None

    def forward(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return the bias, (nH, N, N), indexed [head, query, key], in the table's dtype or another."""
        table = self.relative_position_bias_table
        if self.training or torch.is_grad_enabled() or not can_be_kept(table):
            return self.gather(table, dtype)
        if self.kept is None or not self.kept.is_of(table, dtype):
            bias = self.gather(table, dtype)
            if bias.device.type == 'cpu' and bias.nbytes > MOST_BYTES_KEPT_ON_CPU:
                return bias
            self.kept = KeptBias(table, dtype, bias)
        return self.kept.bias

    def gather(self, table: Tensor, dtype: torch.dtype | None) -> Tensor:
        """The table's rows at the index, head by head."""
        index = constant(aligned_index, self.window, like=table)
        # Gathered head by head from contiguous rows: 3 to 5 times faster than gathering rows of heads.
        bias = table.T.contiguous().index_select(1, index.flatten()).unflatten(1, index.shape)
        return bias.to(dtype or bias.dtype)[..., : index.shape[0]]

    def train(self, mode: bool = True) -> 'RelativePositionBias':
        """Set the mode, and forget the bias that was kept."""
        self.kept = None
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> 'RelativePositionBias':
        self.kept = None
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, 'kept': None}


class KeptBias:
    """A bias with what it was made of, to tell whether it is still right.

    Args:
        table: The table that it was gathered from.
        dtype: The dtype that was asked for.
        bias: (nH, N, N).
    """

    def __init__(self, table: Tensor, dtype: torch.dtype | None, bias: Tensor) -> None:
        self.table, self.version, self.dtype, self.bias = table, table._version, dtype, bias
        # Writing through ``.data`` changes no version. Comparing values would make a GPU wait; there setting the mode
        # has to tell.
        self.values = table.detach().clone() if table.device.type == 'cpu' else None

    def is_of(self, table: Tensor, dtype: torch.dtype | None) -> bool:
        """Whether the bias is this table's, in this dtype."""
        same = self.table is table and self.version == table._version and self.dtype == dtype
        return same and (self.values is None or torch.equal(self.values, table))


def can_be_kept(table: Tensor) -> bool:
    """Whether what is made of a table can serve later calls: not in a trace, nor of what stands for a tensor."""
    return not is_tracing() and type(table) is nn.Parameter and not table.is_inference() and not table.is_meta


class PositionEmbedding(GridValues):
    """Add a learned vector to each place of a map; for other maps than the grid's it is resized (bicubic).

    Args:
        embed_dims: C.
        grid: (h, w).
        copies: () for maps (B, H, W, C), (T,) for T stacked maps (T, B, H, W, C) with an embedding each.
    """

    values_name = EMBEDDING_NAME
    shape_name = GRID_NAME
    find_grid = staticmethod(stored_embedding_grid)

    def __init__(self, embed_dims: int, grid: Grid, copies: tuple[int, ...] = ()) -> None:
        super().__init__((*copies, grid[0] * grid[1], embed_dims), grid, grid)
        self.grid = tuple(grid)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C), or (T, B, H, W, C), to the same."""
        size = (x.shape[-3], x.shape[-2])
        embedding = self.pos_embed.unflatten(-2, self.grid)
        if is_tracing() or size != self.grid:
            images = embedding.transpose(-1, -2).transpose(-2, -3)  # (..., C, h, w)
            embedding = resize(images, size).transpose(-3, -2).transpose(-2, -1)
        return x + embedding.unsqueeze(-4)
