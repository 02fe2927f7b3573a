"""Where a token is: the relative position bias of attention in windows, and the position embedding of a map.

Both are learned values on a grid, resized when a state dict of another grid is loaded.

Legend: B batch, H x W feature map, C channels, h x w window or grid, N = h*w tokens of a window, nH heads, T maps.
A bias table has one row per offset between two tokens of a window, (2h-1)*(2w-1) rows, and one column per head.
"""

from collections.abc import Mapping
from math import isqrt, prod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import Window
from .resizing import resize
from .tracing import constant, is_tracing

Grid = tuple[int, int]

# CUDA's memory-efficient attention wants rows of a bias to begin at multiples of that many elements.
ALIGNMENT = 8


class GridValues(nn.Module):
    """Base of modules with one table of learned values on a grid, initially from a truncated normal distribution.

    State dicts of oblong modules hold the shape (h, w) beside the table (..., places of the grid, C), whose size does
    not tell it; others are square.
    """

    table_name: ClassVar[str]  # of the parameter
    shape_name: ClassVar[str]  # of the buffer in which an oblong module keeps its shape

    def __init__(self, table_shape: tuple[int, ...], shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.register_parameter(self.table_name, nn.Parameter(torch.empty(table_shape)))
        nn.init.trunc_normal_(self.get_parameter(self.table_name), std=0.02)
        if shape[0] != shape[1]:
            self.register_buffer(self.shape_name, torch.tensor(self.shape))

    @staticmethod
    def grid_of(shape: tuple[int, int]) -> Grid:
        """Rows and columns of the values of a module of that shape."""
        return shape

    @staticmethod
    def shape_of(grid: Grid) -> tuple[int, int]:
        """Undo :meth:`grid_of`."""
        return grid

    @classmethod
    def stored_shape(cls, state_dict: Mapping[str, Tensor], name: str) -> tuple[int, int]:
        """The shape (h, w) of the table ``name`` of a state dict: kept beside the table, otherwise a square.

        ValueError: the table's rows are not those of its shape, or of any square.
        """
        num_rows = state_dict[name].shape[-2:][0]
        kept = state_dict.get(name.removesuffix(cls.table_name) + cls.shape_name)
        shape = cls.shape_of((isqrt(num_rows),) * 2) if kept is None else (int(kept[0]), int(kept[1]))
        grid = cls.grid_of(shape)
        if prod(grid) == num_rows:
            return shape
        if kept is None:
            raise ValueError(f'{name} of {num_rows} rows belongs to no square grid, and there is no {cls.shape_name}')
        raise ValueError(f'{name} has {num_rows} rows; its grid {grid} needs {prod(grid)}')

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        if self.shape_name in self._buffers:  # whose contents are undefined after Module.to_empty
            self.get_buffer(self.shape_name).copy_(torch.tensor(self.shape))
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        name, shape_name = prefix + self.table_name, prefix + self.shape_name
        if name in state_dict:
            source, target = self.grid_of(self.stored_shape(state_dict, name)), self.grid_of(self.shape)
            state_dict = {**state_dict, name: resize_table(state_dict[name], source, target)}
            state_dict.pop(shape_name, None)
            if self.shape_name in self._buffers:
                state_dict[shape_name] = torch.tensor(self.shape)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def resize_table(table: Tensor, source: Grid, target: Grid) -> Tensor:
    """Resize a table (..., places of the source grid, C), each column as an image, to (..., places of the target, C).

    Where the grids are equal, the table itself.
    """
    if not is_tracing() and source == target:
        return table
    return resize(table.mT.unflatten(-1, source), target).flatten(-2).mT.contiguous()


class PositionEmbedding(GridValues):
    """Add a learned vector to each place of a map; for other maps than the grid's it is resized (bicubic).

    Args:
        embed_dims: C.
        grid: (h, w).
        copies: () for maps (B, H, W, C), (T,) for T stacked maps (T, B, H, W, C) with an embedding each.
    """

    table_name = 'pos_embed'
    shape_name = 'grid_shape'

    def __init__(self, embed_dims: int, grid: Grid, copies: tuple[int, ...] = ()) -> None:
        super().__init__((*copies, grid[0] * grid[1], embed_dims), grid)
        self.grid = tuple(grid)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C), or (T, B, H, W, C), to the same."""
        size = (x.shape[-3], x.shape[-2])
        embedding = self.pos_embed.unflatten(-2, self.grid)
        if is_tracing() or size != self.grid:
            images = embedding.transpose(-1, -2).transpose(-2, -3)  # (..., C, h, w)
            embedding = resize(images, size).transpose(-3, -2).transpose(-2, -1)
        return x + embedding.unsqueeze(-4)


class RelativePositionBias(GridValues):
    """A learned bias for each head and each offset between a query and a key of one window (as in Swin).

    In inference on a GPU the bias is cached until ``train()`` or ``eval()`` is called, the table changes or the module
    moves. Writing through ``.data`` is not noticed there: call ``eval()`` after it.

    Args:
        window: (h, w).
        num_heads: nH.
    """

    table_name = 'relative_position_bias_table'
    shape_name = 'window_shape'

    def __init__(self, window: Window, num_heads: int) -> None:
        # Makes self.relative_position_bias_table, by table_name.
        super().__init__((prod(self.grid_of(window)), num_heads), window)
        self.window = tuple(window)
        self.kept: tuple[Any, ...] | None = None

    @staticmethod
    def grid_of(shape: Window) -> Grid:
        """The offsets between two tokens of a window (h, w), as a grid: (2h-1, 2w-1)."""
        return 2 * shape[0] - 1, 2 * shape[1] - 1

    @staticmethod
    def shape_of(grid: Grid) -> Window:
        """The window (h, w) of a grid (2h-1, 2w-1)."""
        return (grid[0] + 1) // 2, (grid[1] + 1) // 2

    @staticmethod
    def index_of(shape: Window, device: torch.device | None = None) -> Tensor:
        """Rows of the table for every pair of tokens: (N, N), [query, key] -> (dy + h-1) * (2w-1) + (dx + w-1).

        dy and dx are query minus key. The row is linear in both, so it is a difference of one number per token.
        """
        rows, columns = RelativePositionBias.grid_of(shape)
        y = torch.arange(shape[0], device=device) * columns
        x = torch.arange(shape[1], device=device)
        token = (y[:, None] + x[None, :]).flatten()
        centre = rows * columns // 2
        return token[:, None] - token[None, :] + centre

    def forward(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return the bias, (nH, N, N), indexed [head, query, key], in the table's dtype or another."""
        table = self.relative_position_bias_table
        if self.training or torch.is_grad_enabled() or not can_be_kept(table):
            return self.gather(table, dtype)
        key, kept = (id(table), table._version, dtype), self.kept  # which another thread may replace
        if kept is None or kept[0] != key:
            self.kept = kept = key, self.gather(table, dtype), table  # the table, so that no other one gets its id
        return kept[1]

    def gather(self, table: Tensor, dtype: torch.dtype | None) -> Tensor:
        """The table's rows at the index, head by head."""
        index = constant(aligned_index, self.window, like=table)
        # From one contiguous row per head: 3 to 5 times faster than gathering rows of heads.
        bias = table.T.contiguous().index_select(1, index.flatten()).unflatten(1, index.shape)
        return bias.to(dtype or bias.dtype)[..., : index.shape[0]]

    def train(self, mode: bool = True) -> 'RelativePositionBias':
        """Set the mode, and drop the cached bias."""
        self.kept = None
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> 'RelativePositionBias':
        self.kept = None
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, 'kept': None}


def can_be_kept(table: Tensor) -> bool:
    """Whether a bias of the table is cached: not in a trace, nor on a CPU, which gathers it in 0.2 % of the time."""
    is_on_gpu = table.device.type not in ('cpu', 'meta')
    return is_on_gpu and not is_tracing() and type(table) is nn.Parameter and not table.is_inference()


def aligned_index(window: Window, device: torch.device) -> Tensor:
    """The index with rows as attention kernels of the device want them: (N, N or a little more)."""
    index = RelativePositionBias.index_of(window, device)
    return align_rows(index) if device.type == 'cuda' else index


def align_rows(index: Tensor) -> Tensor:
    """Pad the rows of an index to a multiple of ``ALIGNMENT``, with 0, a valid row of the table."""
    return F.pad(index, (0, -index.shape[1] % ALIGNMENT))
