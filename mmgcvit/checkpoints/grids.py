"""Resize position tables between windows or maps that are not square.

A table has one row for each position of a grid (h, w), and does not say which: that of windows (4,
6) has as many rows as that of windows (6, 4), in another order. The settings of the backbone with
which weights were trained say it, which checkpoints of this project have. Without them, a table
with as many rows as the model's is taken to have the model's grid, and any other to have a square
one.
"""

from collections.abc import Mapping
from math import isqrt, prod
from typing import Any

from torch import Tensor, nn

from .translating import BIAS_TABLE, StateDict

# Ends of the keys of position tables
POSITION_TABLES = (BIAS_TABLE, 'pos_embed')
BACKBONE = 'backbone.'  # the prefix of a backbone's keys in a model
# The key of a checkpoint's ``meta`` for the run's settings in types of JSON
SETTINGS = 'settings'
Grid = tuple[int, int]


def get_backbone_settings(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of the backbone in the ``meta`` of a checkpoint, or none: of other
    programs, and of crafted files.
    """
    settings: Any = meta
    for key in (SETTINGS, 'model', 'backbone'):
        settings = settings.get(key) if isinstance(settings, Mapping) else None
    return settings if isinstance(settings, Mapping) else {}


def is_position_table(name: str, tensor: Tensor) -> bool:
    """Return whether a tensor is a position table (..., rows, columns)."""
    return name.endswith(POSITION_TABLES) and tensor.ndim > 1


def has_square_rows(table: Tensor) -> bool:
    """Return whether a position table has as many rows as a square grid."""
    return isqrt(table.shape[-2]) ** 2 == table.shape[-2]


def infer_window_side(table: Tensor) -> int:
    """Return the side of the windows of a bias table: one of side w has (2w - 1)**2 rows."""
    return isqrt(len(table)) // 2 + 1


def find_grids(
    tensors: StateDict, network: type[Any], settings: Mapping[str, Any], prefix: str = ''
) -> dict[str, Grid]:
    """Return the grid of each position table of a backbone, as far as its settings say it.

    Args:
        tensors: Weights with those of the backbone.
        network: Its class. Only those of this package have grids.
        settings: The arguments of its constructor. A crafted file can have any.
        prefix: That of its keys.
    """
    try:
        by_part = network.compute_grids(settings) if hasattr(network, 'compute_grids') else {}
    except (TypeError, ValueError):
        return {}
    grids = {}
    for name, tensor in tensors.items():
        for part, grid in by_part.items():
            is_table = name.startswith(prefix + part) and is_position_table(name, tensor)
            if is_table and tensor.shape[-2] == prod(grid):
                grids[name] = grid
    return grids


def list_oblong(tensors: StateDict, network: type[Any], settings: Mapping[str, Any]) -> list[str]:
    """List the position tables of a backbone whose grids are not square: by its settings, or
    because they have as many rows as no square. The arguments are those of :func:`find_grids`.
    """
    grids = find_grids(tensors, network, settings)
    oblong = [name for name, (height, width) in grids.items() if height != width]
    for name, tensor in tensors.items():
        if name not in grids and is_position_table(name, tensor) and not has_square_rows(tensor):
            oblong.append(name)
    return oblong


def resize_tables(
    tensors: StateDict, backbone: nn.Module, settings: Mapping[str, Any], prefix: str = ''
) -> StateDict:
    """Return weights whose position tables are resized to the grids of the ``backbone``, where the
    settings of their training say their own. All others stay, and are resized when the model loads
    them, if they are square.

    The other arguments are those of :func:`find_grids`.
    """
    modules = {f'{prefix}{name}': module for name, module in backbone.named_modules()}
    resized = dict(tensors)
    for name, grid in find_grids(tensors, type(backbone), settings, prefix).items():
        layer = modules.get(name.rpartition('.')[0])
        if layer is not None and layer.grid != grid:
            resized[name] = layer.resize_table(tensors[name], grid)
    return resized
