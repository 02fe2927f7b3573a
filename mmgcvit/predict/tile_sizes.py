"""The sizes and places of overlapping tiles, and whether objects fit into them."""

import math

import numpy as np

MIN_TILE = 32  # in pixels
OVERLAP = 0.25  # of neighbouring tiles: at least this share of a tile's side


def place_tiles(length: int, side: int) -> list[int]:
    """Return where each tile of ``side`` pixels begins along an axis of ``length`` pixels.

    They are evenly spaced, and overlap by a quarter or more.
    """
    last = max(length - side, 0)
    count = 1 + math.ceil(last / (side * (1 - OVERLAP)))
    return np.linspace(0, last, count).astype(int).tolist()
