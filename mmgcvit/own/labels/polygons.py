"""Convert a mask to polygons with a bounded error.

Polygons are along the edges of pixels: the pixel in column 3 lies between x = 3 and x = 4.
supervision's ``mask_to_polygons`` goes through the centres of the outer pixels, so that a tool that
fills the polygon finds a mask that is half a pixel smaller on each side.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ...ops.requirements import check_installed

Ring = NDArray[np.int32]  # (n, 2) = x, y of the corners of a closed polygon, in pixels

# A simplified polygon is at most this far from the outline of the mask, in pixels. The largest is
# tried first.
TOLERANCES = (1.0, 0.5)
# What a simplified polygon and the mask have in common: intersection over union. It is above the
# 0.98 that is promised, since formats round coordinates.
MIN_IOU = 0.985


def convert_to_polygons(mask: NDArray[np.bool_]) -> list[Ring]:
    """Return a polygon for each connected part of a mask (height, width).

    The holes of a part are joined to its outline by seams: the polygon goes to the hole, around it
    in the other direction, and back on the same line, which encloses nothing. Polygons are
    simplified as long as they cover the mask to :data:`MIN_IOU`. The list is empty for an empty
    mask.
    """
    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    if not len(rows):
        return []
    top = rows[0]
    left = columns[0]
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    offset = np.array([left, top], np.int32)
    parts = trace_parts(crop)
    for tolerance in TOLERANCES:
        rings = [join_rings([simplify(ring, tolerance) for ring in part]) for part in parts]
        if compute_iou(crop, fill(rings, crop.shape)) >= MIN_IOU:
            break
    else:
        rings = [join_rings(part) for part in parts]
    return [ring + offset for ring in rings]


def trace_parts(mask: NDArray[np.bool_]) -> list[list[Ring]]:
    """Return the outline of each connected part of a mask, and behind it those of its holes.

    Filled, they are exactly the mask. Holes go around in the other direction.
    """
    # OpenCV traces the centres of the outer pixels. Of a mask in double size, these are the
    # quarters of a pixel in the corners: rounded up, half their position is the pixel's corner.
    double = mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, tree = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts: dict[int, list[Ring]] = {}
    for index, (contour, (_, _, _, parent)) in enumerate(zip(contours, tree[0], strict=True)):
        ring = drop_repeated((contour[:, 0].astype(np.int32) + 1) // 2)
        if parent < 0:
            parts.setdefault(index, []).insert(0, ring)
        else:
            parts.setdefault(parent, []).append(ring)
    return [*parts.values()]


def drop_repeated(ring: Ring) -> Ring:
    """Return a ring without corners that are equal to the one before or between two on a line."""
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(1)]
    before = ring - np.roll(ring, 1, axis=0)
    after = np.roll(ring, -1, axis=0) - ring
    is_corner = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    # Where a line turns back, its end stays.
    turns_back = (before * after).sum(1) < 0
    return ring[is_corner | turns_back].astype(np.int32)


def simplify(ring: Ring, tolerance: float) -> Ring:
    """Return a ring with fewer corners, at most ``tolerance`` pixels away."""
    simplified = cv2.approxPolyDP(ring[:, None], tolerance, closed=True)[:, 0]
    return simplified.astype(np.int32) if len(simplified) > 2 else ring


def join_rings(rings: Sequence[Ring]) -> Ring:
    """Join rings into one, each by a seam between its nearest corner and those before it."""
    joined, *others = rings
    for ring in others:
        start, end = find_nearest(joined, ring)
        ring = np.roll(ring, -end, axis=0)
        joined = np.concatenate([joined[: start + 1], ring, ring[:1], joined[start:]])
    return joined


def find_nearest(first: Ring, second: Ring) -> tuple[int, int]:
    """Return the indices of the nearest corners of two rings."""
    offsets = first[:, None].astype(np.int64) - second
    distances = (offsets**2).sum(2)
    start, end = divmod(int(distances.argmin()), len(second))
    return start, end


def fill(rings: Sequence[Ring], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask (height, width) of polygons, as COCO's API fills them."""
    check_installed('writing masks', 'pycocotools')
    from pycocotools import mask as coco_mask

    height, width = size
    encoded = coco_mask.frPyObjects([ring.ravel().tolist() for ring in rings], height, width)
    return coco_mask.decode(coco_mask.merge(encoded)).astype(bool)


def compute_iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two masks; 0 if both are empty."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / max(union, 1)
