"""Find objects whose box or mask cannot be right: outside of the image, without area, or unlike
each other.
"""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The largest fraction of images, and of objects, that may be unusable. Datasets with more are
# rejected.
MAX_UNUSABLE = 0.1
# Tools round, so boxes and masks may leave an image by 2 pixels or 1 % of its side, and the edges
# of a box and its mask may differ by 3 pixels or 10 % of the box's side.
MARGIN, MAX_DIFFERENCE = (2, 0.01), (3, 0.1)
# Boxes that leave their image by fewer pixels are not cut: computed fractions are not exact
MIN_CUT = 0.1
MAX_COORDINATE = 1e9  # larger coordinates are not read as numbers
# Values of COCO's iscrowd and ignore and VOC's difficult, in lower case. Tools write more than 0
# and 1.
FLAGS = dict.fromkeys(('', '0', '0.0', 'false', 'none', 'unspecified'), 0) | dict.fromkeys(
    ('1', '1.0', 'true'), 1
)
MAX_ID = 1 << 53  # ids of annotations are smaller: pycocotools stores them as floats

NOT_FINITE = 'bbox or area are not finite numbers'
NO_AREA = 'the box is under a pixel in width or height, or its area is 0'
OUTSIDE = 'the box or mask leaves the image'
DIFFERENT = 'box and mask contradict each other'
NO_MASK = "the mask (segmentation) is missing, or neither polygons nor RLE of the image's size"
FEW_POINTS = 'the mask is a polygon of fewer than three points, or without area'

# How tools write a box, and its corners, computed from its first two and its last two values.
BOX_FORMATS = {
    '[x, y, width, height]': lambda first, last: (first, first + last),
    '[x1, y1, x2, y2]': lambda first, last: (first, last),
    '[centre x, centre y, width, height]': lambda first, last: (first - last / 2, first + last / 2),
}
XYWH, XYXY, CENTRES = BOX_FORMATS
# What boxes look like if nothing else explains that they misfit
OTHER_SIZE = 'boxes of images of another size'
Array = NDArray[np.float64]


class ObjectProblem(str):
    """A message about an object that cannot be used.

    It counts among the objects, other messages among the images.
    """


def are_too_many(num_unusable: int, number: int) -> bool:
    """Return whether more than :data:`MAX_UNUSABLE` of a ``number`` of images or objects are
    unusable.
    """
    return num_unusable > MAX_UNUSABLE * number


def find_faults(
    objects: Sequence[Mapping[str, Any]],
    sizes: Sequence[tuple[int, int]],
    with_masks: bool,
    box_format: str = XYWH,
) -> tuple[list[str], str]:
    """Return the fault of each object, or '', and what the boxes look like if many objects are
    faulty, or ''.

    ``objects`` are COCO annotations, whose values may have any type; ``sizes`` are the (width,
    height) of their images.
    """
    sides, corners = np.array(sizes, float).reshape(-1, 2), get_corners(objects)
    area = np.array(
        [obj['area'] if are_numbers([obj['area']]) else np.nan for obj in objects], float
    )
    faults = np.full(len(objects), '', object)
    faults[(area <= 0) | ~have_area(corners, sides)] = NO_AREA
    faults[~are_inside(corners, sides)] = OUTSIDE
    faults[np.isnan(corners).any(1) | np.isnan(area)] = NOT_FINITE
    look = guess_box_format(corners, sides, box_format)
    # Some boxes stay inside of the image though they are misread.
    if look not in ('', OTHER_SIZE) and (faults == OUTSIDE).sum() > 2:
        faults[:] = f'the box is one of many that look like {look}'
    bounds = np.full(corners.shape, np.nan)
    for i in np.flatnonzero(faults == '') if with_masks else ():
        measured = measure_mask(objects[i].get('segmentation'), *map(int, sizes[i]))
        faults[i], bounds[i] = (measured, np.nan) if isinstance(measured, str) else ('', measured)
    limits = np.maximum(
        MAX_DIFFERENCE[0], MAX_DIFFERENCE[1] * np.tile(corners[:, 2:] - corners[:, :2], 2)
    )
    faults[(abs(bounds - corners) > limits).any(1)] = DIFFERENT  # False for NaN
    faults[np.isfinite(bounds).all(1) & ~are_inside(bounds, sides)] = OUTSIDE
    return faults.tolist(), look


def get_corners(objects: Sequence[Mapping[str, Any]]) -> Array:
    """Return the left, top, right and bottom edges of the boxes of COCO annotations (n, 4).

    Invalid ones are NaN.
    """
    boxes = [
        obj['bbox'] if are_numbers(obj['bbox']) and len(obj['bbox']) == 4 else [np.nan] * 4
        for obj in objects
    ]
    boxes = np.array(boxes, float).reshape(-1, 4)
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])


def are_inside(corners: Array, sizes: Array) -> NDArray[np.bool_]:
    """Return whether corners (..., 4) are in images of ``sizes`` (..., 2) or their :data:`MARGIN`.

    False for NaN.
    """
    margin = np.maximum(MARGIN[0], MARGIN[1] * sizes)
    return ((corners[..., :2] >= -margin) & (corners[..., 2:] <= sizes + margin)).all(-1)


def have_area(corners: Array, sizes: Array) -> NDArray[np.bool_]:
    """Return whether the parts of boxes (n, 4) inside of their images have sides of a pixel or
    more.
    """
    return (np.clip(corners[:, 2:], 0, sizes) - np.clip(corners[:, :2], 0, sizes) >= 1).all(1)


def guess_box_format(corners: Array, sizes: Array, box_format: str) -> str:
    """Return what boxes look like: what nearly all of them fit if many misfit their images.

    '' if most boxes fit.
    """
    is_finite = np.isfinite(corners).all(1)
    corners, sizes = corners[is_finite], sizes[is_finite]
    first, last, side = corners[:, :2], corners[:, 2:], corners[:, 2:] - corners[:, :2]
    written = {XYWH: (first, side), XYXY: (first, last), CENTRES: (first + side / 2, side)}[
        box_format
    ]
    looks = {
        '': (corners, sizes),
        **{name: (np.hstack(read(*written)), sizes) for name, read in BOX_FORMATS.items()},
    }
    looks['boxes of images rotated by 90 degrees'] = corners, sizes[:, ::-1]
    looks['pixels instead of fractions of the image'] = corners / np.tile(sizes, 2), sizes
    looks['fractions of the image instead of pixels'] = corners * np.tile(sizes, 2), sizes
    misfits = {
        name: (~(are_inside(*args) & have_area(*args))).sum() for name, args in looks.items()
    }
    are_many = are_too_many(misfits[''], len(corners))
    for look, number in misfits.items():
        # A single misfit suffices if all boxes fit these formats.
        is_perfect = look in (XYWH, CENTRES) and number == 0 < misfits['']
        if is_perfect or (are_many and not are_too_many(number, len(corners))):
            return look
    num_outside = (~are_inside(corners, sizes)).sum()
    return OTHER_SIZE if are_too_many(num_outside, len(corners)) else ''


def are_numbers(values: Any) -> bool:
    """Return whether a value is a list of finite numbers.

    Python's functions are faster than NumPy for short lists.
    """
    if not isinstance(values, list) or not {*map(type, values)} <= {int, float}:
        return False
    is_small = (
        min(values, default=0) >= -MAX_COORDINATE and max(values, default=0) <= MAX_COORDINATE
    )
    return is_small and isfinite(sum(values))  # NaN may hide from min and max


def measure_mask(mask: Any, width: int, height: int) -> Array | str:
    """Return the left, top, right and bottom edge of a mask (COCO's ``segmentation``), or its
    fault.
    """
    if isinstance(mask, dict):
        counts = mask.get('counts')
        counts = decode_counts(counts) if isinstance(counts, str) else counts
        is_valid = isinstance(counts, list) and all(
            type(count) is int and count >= 0 for count in counts
        )
        if mask.get('size') != [height, width] or not is_valid or sum(counts) != height * width:
            return NO_MASK
        from pycocotools import mask as coco_mask  # imported here, because polygons do not need it

        left, top, *sides = coco_mask.toBbox(
            coco_mask.frPyObjects({**mask, 'counts': counts}, height, width)
        ).tolist()
        return np.array([left, top, left + sides[0], top + sides[1]]) if all(sides) else FEW_POINTS
    if not mask or not isinstance(mask, list) or not all(map(are_numbers, mask)):
        return NO_MASK
    if (
        any(len(polygon) < 6 or len(polygon) % 2 for polygon in mask)
        or sum(map(measure_area, mask)) < 1
    ):
        return FEW_POINTS
    x, y = ([value for polygon in mask for value in polygon[start::2]] for start in (0, 1))
    return np.array([min(x), min(y), max(x), max(y)], float)


def measure_area(polygon: list[float]) -> float:
    """Return the area of a polygon [x1, y1, x2, y2, ...]."""
    x, y = polygon[::2], polygon[1::2]
    return (
        abs(
            sum(
                a * d - b * c for a, b, c, d in zip(x, y, x[1:] + x[:1], y[1:] + y[:1], strict=True)
            )
        )
        / 2
    )


def decode_counts(text: str) -> list[int]:
    """Decode the counts of COCO's compressed RLE. pycocotools does not check the text, and may read
    beyond its end.

    A character has five bits, and a sixth that says whether more follow. From the fourth count on,
    differences from the count two before are stored.
    """
    counts = []
    # No image needs a number of more than 12 characters.
    for number in (
        re.findall('[P-o]*[0-O]', text) if re.fullmatch('([P-o]{0,11}[0-O])*', text) else ()
    ):
        codes = [ord(character) - 48 for character in number]
        value = sum((code & 0x1F) << 5 * i for i, code in enumerate(codes))
        value -= (codes[-1] & 0x10) << 5 * len(codes) - 4  # the sign
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts
