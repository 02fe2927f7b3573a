"""Write maps that number objects."""

import numpy as np

from .made import write

SIDE = 48
GAPS = [[1, 4], [2, 3], [3]]  # numbers of three maps


def draw_numbers(numbers, dtype=np.uint8):
    """Return a map with a square for each number."""
    labels = np.zeros((SIDE, SIDE), dtype)
    for place, number in enumerate(numbers):
        row, column = divmod(place, 8)
        labels[6 * row + 1 : 6 * row + 5, 6 * column + 1 : 6 * column + 5] = number
    return labels


def write_maps(root, maps, names=('images/{}.png', 'masks/{}.tif'), classes=None):
    for index, labels in enumerate(maps):
        write(root / names[0].format(index), np.full((SIDE, SIDE, 3), index, np.uint8))
        write(root / names[1].format(index), labels)
    if classes:
        write(root / 'classes.txt', '\n'.join(classes))
    return root
