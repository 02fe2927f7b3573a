"""The sizes and places of overlapping tiles, and whether objects fit into them."""

import math

import numpy as np

MIN_TILE = 32  # in pixels
OVERLAP = 0.25  # of neighbouring tiles: at least this share of a tile's side


def explain_small_tiles(side: int | None, object_side: int | None) -> str:
    """Return a sentence if tiles of ``side`` pixels are small for objects, whose longer side is
    ``object_side`` for one in ten or more, or ''.

    Each object that is not longer than the overlap of tiles is complete in one of them.
    """
    if not side or not object_side or object_side <= OVERLAP * side:
        return ''
    least = math.ceil(object_side / OVERLAP / MIN_TILE) * MIN_TILE
    return (
        f'objects are up to {object_side} px long, over a quarter of the tiles ({side} px), so '
        f'that tiles cut them, and parts of one may be counted as several. Use tiles={least}, or '
        'larger'
    )


def place_tiles(length: int, side: int) -> list[int]:
    """Return where each tile of ``side`` pixels begins along an axis of ``length`` pixels.

    They are evenly spaced, and overlap by a quarter or more.
    """
    last = max(length - side, 0)
    count = 1 + math.ceil(last / (side * (1 - OVERLAP)))
    return np.linspace(0, last, count).astype(int).tolist()
