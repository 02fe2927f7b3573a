"""Shapes of masks: polygons, and COCO's compressed RLE."""

import re
from operator import mul

from .annotations import Polygon


def is_polygon(polygon: Polygon) -> bool:
    """Return whether a list of coordinates has three points or more."""
    return len(polygon) >= 6 and len(polygon) % 2 == 0


def measure_list(polygon: Polygon) -> float:
    """Return the area of a polygon [x1, y1, x2, y2, ...].

    Without NumPy, whose calls take longer than the sums over the few points of most polygons.
    """
    x = polygon[::2]
    y = polygon[1::2]
    area = sum(map(mul, x, [*y[1:], *y[:1]])) - sum(map(mul, y, [*x[1:], *x[:1]]))
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
