"""Keep the grids of position tables, without which a table is taken to have the model's.

The table of windows (4, 6) has as many rows as that of windows (6, 4), in another order. torch's
state dicts have the grid of each table in their metadata, which plain dicts of tensors lose.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .translating import GRID, StateDict

# The key of a safetensors file's metadata for the grids, in JSON
GRIDS = 'grids'
Grids = dict[str, tuple[int, int]]  # (h, w) by the name of the module that has the table


def read_grids(state_dict: Mapping[str, Any]) -> Grids:
    """Return the grids in the metadata of a state dict, none of a plain dict."""
    metadata = getattr(state_dict, '_metadata', None)
    if not isinstance(metadata, Mapping):
        return {}
    entries = {name: value for name, value in metadata.items() if isinstance(value, Mapping)}
    return select_grids({name: value.get(GRID) for name, value in entries.items()})


def select_grids(values: Mapping[Any, Any]) -> Grids:
    """Return those values that are pairs of ints of at least 1: a crafted file can have any."""
    grids = {}
    for name, value in values.items():
        is_pair = isinstance(value, list | tuple) and len(value) == 2
        if is_pair and all(type(side) is int and side >= 1 for side in value):
            height, width = value
            grids[str(name)] = height, width
    return grids


def attach_grids(tensors: StateDict, grids: Grids) -> StateDict:
    """Return a state dict with the grids in its metadata, as torch's have them."""
    attached = OrderedDict(tensors)
    # As in torch, an attribute of the dict
    attached._metadata = {name: {GRID: grid} for name, grid in grids.items()}  # type: ignore[attr-defined]
    return attached


def select_others(grids: Grids) -> Grids:
    """Return the grids that are not square."""
    return {name: grid for name, grid in grids.items() if grid[0] != grid[1]}


def format_grids(grids: Grids) -> dict[str, str]:
    """Return the entry of a safetensors file's metadata for grids, if there are some."""
    return {GRIDS: json.dumps(grids)} if grids else {}


def parse_grids(metadata: Mapping[str, str]) -> Grids:
    """Return the grids in a safetensors file's metadata, none of another program's."""
    with suppress(ValueError, RecursionError):  # of crafted files
        values = json.loads(metadata.get(GRIDS, '{}'))
        if isinstance(values, dict):
            return select_grids(values)
    return {}
