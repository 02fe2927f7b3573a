"""Write maps that number objects."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .made import write

SIDE = 48
GAPS = [[1, 4], [2, 3], [3]]  # numbers of three maps


def draw_numbers(
    numbers: Iterable[int], dtype: type[np.integer[Any]] = np.uint8
) -> NDArray[np.integer[Any]]:
    """Return a map with a square for each number."""
    labels = np.zeros((SIDE, SIDE), dtype)
    for place, number in enumerate(numbers):
        row, column = divmod(place, 8)
        labels[6 * row + 1 : 6 * row + 5, 6 * column + 1 : 6 * column + 5] = number
    return labels


def write_maps(
    root: Path,
    maps: Iterable[NDArray[np.integer[Any]]],
    names: tuple[str, str] = ('images/{}.png', 'masks/{}.tif'),
    classes: Sequence[str] | None = None,
) -> Path:
    """Write images and their maps under names for numbers, and return the folder."""
    for index, labels in enumerate(maps):
        write(root / names[0].format(index), np.full((SIDE, SIDE, 3), index, np.uint8))
        write(root / names[1].format(index), labels)
    if classes:
        write(root / 'classes.txt', '\n'.join(classes))
    return root
