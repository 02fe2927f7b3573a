"""The sizes of overlapping tiles, and whether objects fit into them."""

import math

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
