"""Shapes of polygons: rectangles, their areas, and how much of its box one fills."""

from collections.abc import Sequence

import numpy as np

from ...datasets.annotations import Mask, Polygon, Unusable

# The corners of a rectangle may be wrong by a pixel, or by this part of its diagonal.
MIN_RECTANGLE_ERROR = 1.0
MAX_RECTANGLE_ERROR = 0.01


def is_rectangle(mask: Mask | Unusable | None) -> bool:
    """Return whether a mask is a single polygon with the corners of a rectangle, in any rotation."""
    if not isinstance(mask, Sequence) or len(mask) != 1 or len(mask[0]) != 8:
        return False
    corners = np.reshape(mask[0], (4, 2))
    diagonals = corners[2] - corners[0], corners[3] - corners[1]
    lengths = [float(np.hypot(*diagonal)) for diagonal in diagonals]
    tolerance = max(MIN_RECTANGLE_ERROR, MAX_RECTANGLE_ERROR * max(lengths))
    centres_differ = np.abs(corners[0] + corners[2] - corners[1] - corners[3]).max() / 2
    return centres_differ <= tolerance and abs(lengths[0] - lengths[1]) <= tolerance


def fill_of_box(polygon: Polygon) -> float:
    """Return the part of its enclosing box that a polygon fills, 1 for one without area."""
    x = polygon[::2]
    y = polygon[1::2]
    area = (max(x) - min(x)) * (max(y) - min(y))
    return measure_area(polygon) / area if area else 1.0


def measure_area(polygon: Polygon) -> float:
    """Return the area of a polygon [x1, y1, x2, y2, ...]."""
    x, y = np.reshape(polygon, (-1, 2)).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
