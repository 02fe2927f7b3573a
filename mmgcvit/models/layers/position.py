"""The relative position bias of attention inside a window.

Legend: h x w window, N = h*w tokens of a window, nH heads.
A bias table has one row per offset between two tokens of a window, (2h-1)*(2w-1) rows, and one column per head.
"""

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import Window
from .constants import constant
from .grid_values import Grid, GridValues
from .tracing import is_tracing

TABLE_NAME = 'relative_position_bias_table'
# CUDA's memory-efficient attention wants rows of a bias to begin at multiples of that many elements.
ALIGNMENT = 8
# Larger biases are gathered at each call, for one percent of the time: 30 blocks with windows of 24 would keep 340 MB.
MOST_BYTES_KEPT_ON_CPU = 1 << 20


class RelativePositionBias(GridValues):
    """A learned bias for each head and each offset between a query and a key of one window (as in Swin).

    In inference the bias is cached until ``train()`` or ``eval()`` is called, the table changes or the module moves.

    Args:
        window: (h, w).
        num_heads: nH.
    """

    table_name = TABLE_NAME
    shape_name = 'window_shape'

    def __init__(self, window: Window, num_heads: int) -> None:
        # Makes self.relative_position_bias_table, by table_name.
        super().__init__((prod(self.grid_of(window)), num_heads), window)
        self.window = tuple(window)
        self.kept: KeptBias | None = None

    @staticmethod
    def grid_of(shape: Window) -> Grid:
        """The offsets between two tokens of a window (h, w), as a grid: (2h-1, 2w-1)."""
        return 2 * shape[0] - 1, 2 * shape[1] - 1

    @staticmethod
    def shape_of(grid: Grid) -> Window:
        """The window (h, w) of a grid (2h-1, 2w-1)."""
        return (grid[0] + 1) // 2, (grid[1] + 1) // 2

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


class KeptBias:
    """A cached bias, with what it was made of to tell whether it is still valid.

    Args:
        table: The table that it was gathered from.
        dtype: The dtype that was asked for.
        bias: (nH, N, N).
    """

    def __init__(self, table: Tensor, dtype: torch.dtype | None, bias: Tensor) -> None:
        self.table, self.version, self.dtype, self.bias = table, table._version, dtype, bias
        # Writing through ``.data`` changes no version, so on a CPU the values are compared. That would make a GPU wait.
        self.values = table.detach().clone() if table.device.type == 'cpu' else None

    def is_of(self, table: Tensor, dtype: torch.dtype | None) -> bool:
        """Whether the bias is this table's, in this dtype."""
        same = self.table is table and self.version == table._version and self.dtype == dtype
        return same and (self.values is None or torch.equal(self.values, table))


def can_be_kept(table: Tensor) -> bool:
    """Whether a bias made of the table may be cached: not in a trace, nor for a stand-in of a parameter."""
    return not is_tracing() and type(table) is nn.Parameter and not table.is_inference() and not table.is_meta


def relative_position_index(window: Window, device: torch.device | None = None) -> Tensor:
    """Rows of the table for every pair of tokens: (N, N), [query, key] -> (dy + h-1) * (2w-1) + (dx + w-1).

    dy and dx are query minus key. The row is linear in both, so it is a difference of one number per token.
    """
    rows, columns = RelativePositionBias.grid_of(window)
    y = torch.arange(window[0], device=device) * columns
    x = torch.arange(window[1], device=device)
    token = (y[:, None] + x[None, :]).flatten()
    centre = rows * columns // 2
    return token[:, None] - token[None, :] + centre


def aligned_index(window: Window, device: torch.device) -> Tensor:
    """The index with rows as attention kernels of the device want them: (N, N or a little more)."""
    index = relative_position_index(window, device)
    return align_rows(index) if device.type == 'cuda' else index


def align_rows(index: Tensor) -> Tensor:
    """Pad the rows of an index to a multiple of ``ALIGNMENT``, with 0, a valid row of the table."""
    return F.pad(index, (0, -index.shape[1] % ALIGNMENT))
