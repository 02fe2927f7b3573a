"""Compare the outlines of masks, which tools round."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...datasets.annotations import Edges, Mask, Polygon, Rle, Size

MARGIN = 3  # pixels around a mask that are compared too


def are_near(values: Sequence[float], others: Sequence[float], tolerance: float) -> bool:
    """Return whether numbers differ by at most a tolerance. Sums of decimals may be slightly off."""
    return bool(np.abs(np.subtract(values, others)).max() <= tolerance + 1e-6)


@dataclass(frozen=True)
class MeasuredPolygons:
    """Polygons with their edges, which are measured once for all comparisons."""

    polygons: Sequence[Polygon]
    edges: Edges


@dataclass(frozen=True)
class Outline:
    """A mask that breaks no rule, with its edges, as :class:`MeasuredPolygons`."""

    mask: Mask
    edges: Edges


def are_within_a_pixel(outline: Outline, written: MeasuredPolygons, size: Size) -> bool:
    """Return whether the outline of a mask is at most a pixel from that of written polygons.

    The mask covers the polygons without their outermost pixels, and lies in them with a pixel more.
    ``size`` is the (width, height) of the image. Masks are drawn only where their edges fit.
    """
    mask = outline.mask
    if has_equal_corners(mask, written.polygons):
        return True
    left, top, right, bottom = written.edges
    window = (
        max(int(left) - MARGIN, 0),
        max(int(top) - MARGIN, 0),
        min(int(right) + MARGIN + 1, size[0]),
        min(int(bottom) + MARGIN + 1, size[1]),
    )
    if isinstance(mask, Rle):
        if not is_in_window(outline.edges, window):
            return False
        inside = cut(draw_rle(mask), window)
    elif are_near(outline.edges, written.edges, MARGIN - 1):
        inside = draw_polygons(mask, window)
    else:
        return False
    import cv2  # imported here, because most outlines need not be drawn

    drawn = draw_polygons(written.polygons, window)
    square = np.ones((3, 3), np.uint8)
    largest = cv2.dilate(drawn, square)
    smallest = cv2.erode(drawn, square)
    return bool((inside <= largest).all() and (inside >= smallest).all())


def is_in_window(edges: Edges, window: tuple[int, int, int, int]) -> bool:
    """Return whether a mask with these edges lies in a window (left, top, right, bottom)."""
    left, top, right, bottom = window
    begins_inside = edges[0] >= left and edges[1] >= top
    return begins_inside and edges[2] <= right and edges[3] <= bottom


def has_equal_corners(mask: Mask, polygons: Sequence[Polygon]) -> bool:
    """Return whether a mask has the corners of polygons, to half a pixel."""
    if isinstance(mask, Rle) or [*map(len, mask)] != [*map(len, polygons)]:
        return False
    return all(are_near(polygon, other, 0.5) for polygon, other in zip(mask, polygons, strict=True))


def cut(drawn: NDArray[np.uint8], window: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return the part of a mask in a window (left, top, right, bottom)."""
    left, top, right, bottom = window
    return np.ascontiguousarray(drawn[top:bottom, left:right])


def draw_polygons(
    polygons: Sequence[Polygon], window: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Return the mask of polygons in a window (left, top, right, bottom), as COCO draws it."""
    from pycocotools import mask as coco_mask

    left, top, right, bottom = window
    shifted = [
        (np.reshape(polygon, (-1, 2)) - [left, top]).ravel().tolist() for polygon in polygons
    ]
    encoded = coco_mask.frPyObjects(shifted, bottom - top, right - left)
    return np.ascontiguousarray(coco_mask.decode(coco_mask.merge(encoded)))


def draw_rle(mask: Rle) -> NDArray[np.uint8]:
    """Return a mask (height, width) from its RLE."""
    from pycocotools import mask as coco_mask

    height, width = map(int, mask.size)
    entry = {'size': [height, width], 'counts': mask.counts}
    if isinstance(mask.counts, str):
        return np.asarray(coco_mask.decode(entry))
    return np.asarray(coco_mask.decode(coco_mask.frPyObjects(entry, height, width)))
