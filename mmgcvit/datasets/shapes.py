"""Shapes of masks: polygons, rectangles, and COCO's compressed RLE."""

import re
from collections.abc import Sequence
from operator import mul

import numpy as np

from .annotations import Mask, Polygon, Unusable

# The corners of a rectangle may be wrong by a pixel, or by this part of its diagonal.
MIN_RECTANGLE_ERROR = 1.0
MAX_RECTANGLE_ERROR = 0.01


def is_polygon(polygon: Polygon) -> bool:
    """Return whether a list of coordinates has three points or more."""
    return len(polygon) >= 6 and len(polygon) % 2 == 0


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


def measure_list(polygon: list[float]) -> float:
    """Return the area of a polygon as :func:`measure_area` does, without NumPy, whose calls take
    longer than the sums over the few points of most polygons.
    """
    x = polygon[::2]
    y = polygon[1::2]
    area = sum(map(mul, x, y[1:] + y[:1])) - sum(map(mul, y, x[1:] + x[:1]))
    return abs(area) / 2


def decode_counts(text: str) -> list[int]:
    """Decode the counts of COCO's compressed RLE. Return an empty list if the text is invalid.

    pycocotools does not check the text, and may read beyond its end. A character has five bits,
    and a sixth that says whether more follow. From the fourth count on, differences from the count
    two before are stored.
    """
    # No image needs a number of more than 12 characters.
    if not re.fullmatch('([P-o]{0,11}[0-O])*', text):
        return []
    counts: list[int] = []
    for number in re.findall('[P-o]*[0-O]', text):
        codes = [ord(character) - 48 for character in number]
        value = sum((code & 0x1F) << 5 * i for i, code in enumerate(codes))
        if codes[-1] & 0x10:  # the sign
            value -= 1 << 5 * len(codes)
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts
