"""Learned values on a grid, resized when a state dict of another grid is loaded.

Legend: h x w window or grid, C values at each place of the grid.
"""

from collections.abc import Mapping
from math import isqrt, prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .resizing import resize
from .tracing import is_tracing

Grid = tuple[int, int]


class GridValues(nn.Module):
    """Base of modules with one table of learned values on a grid, initially from a truncated normal distribution.

    State dicts of oblong modules hold the shape beside the table, whose size does not tell it; others are square.

    Args:
        table_shape: (..., rows * columns of the grid, C).
        shape: (h, w), from which :meth:`grid_of` derives the grid.

    Attributes:
        table_name: The parameter's name.
        shape_name: The name of the buffer in which an oblong module keeps its shape.
    """

    table_name: ClassVar[str]
    shape_name: ClassVar[str]

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

        Raises:
            ValueError: The table's rows are not those of its shape, or of any square.
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
    """Resize a table of values on a grid, each of its columns as an image (bicubic, corners not aligned).

    Args:
        table: (..., rows * columns of the source grid, C).
        source: The grid of the given table.
        target: The grid to resize to.

    Returns:
        (..., rows * columns of the target grid, C) in the table's dtype; where the grids are equal, the table itself.
    """
    if not is_tracing() and source == target:
        return table
    return resize(table.mT.unflatten(-1, source), target).flatten(-2).mT.contiguous()
