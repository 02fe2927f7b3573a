"""Rules for objects: boxes and masks lie in their image, have an area, and agree."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Size, are_numbers
from .rule import Effect, Rule, are_too_many

# Tools round, so boxes and masks may leave an image by 2 pixels or 1 % of its side, and the edges
# of a box and its mask may differ by 3 pixels or 10 % of the box's side.
MARGIN, MARGIN_SHARE = 2, 0.01
MAX_DIFFERENCE, MAX_DIFFERENCE_SHARE = 3, 0.1
MIN_CUT = 0.1  # boxes that leave their image by fewer pixels are not cut: fractions are not exact


def make_object_rule(problem: str, in_config: Effect = Effect.STOPS_IF_MANY) -> Rule:
    return Rule(problem, 'Correct or remove them', unit='object', in_config=in_config)


NOT_FINITE = make_object_rule('bbox or area are not finite numbers', Effect.STOPS)
NO_MASK = make_object_rule(
    "the mask (segmentation) is missing, or neither polygons nor RLE of the image's size",
    Effect.STOPS,
)
# In validation and test it stops a run.
FEW_POINTS = make_object_rule('the mask is a polygon of fewer than three points, or without area')
OUTSIDE = make_object_rule('the box or mask leaves the image')
NO_AREA = make_object_rule('the box is under a pixel in width or height, or its area is 0')
DIFFERENT = make_object_rule('box and mask contradict each other')
MISREAD = make_object_rule('the box is one of many that look like another kind of box')

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
ReadCorners = Callable[[Array, Array], tuple[Array, Array]]


def read_xywh(first: Array, last: Array) -> tuple[Array, Array]:
    return first, first + last


def read_xyxy(first: Array, last: Array) -> tuple[Array, Array]:
    return first, last


def read_centres(first: Array, last: Array) -> tuple[Array, Array]:
    return first - last / 2, first + last / 2


# How tools write a box: its first two and its last two values become its corners.
XYWH = '[x, y, width, height]'
XYXY = '[x1, y1, x2, y2]'
CENTRES = '[centre x, centre y, width, height]'
BOX_FORMATS: dict[str, ReadCorners] = {XYWH: read_xywh, XYXY: read_xyxy, CENTRES: read_centres}
OTHER_SIZE = 'boxes of images of another size'  # if nothing else explains that they misfit


@dataclass(frozen=True)
class Boxes:
    """The boxes of COCO annotations as arrays. Values that are not finite numbers are NaN."""

    corners: Array  # (n, 4): left, top, right and bottom edges
    areas: Array  # (n,)
    image_sizes: Array  # (n, 2): width and height of their images

    @property
    def sides(self) -> Array:
        """The width and height of each box (n, 2)."""
        return self.corners[:, 2:] - self.corners[:, :2]

    def are_finite(self) -> Mask:
        return np.isfinite(self.corners).all(1) & np.isfinite(self.areas)

    def are_inside(self) -> Mask:
        """Return whether boxes are in their images, or leave them by a margin. False for NaN."""
        return are_inside(self.corners, self.image_sizes)

    def have_area(self) -> Mask:
        """Return whether the visible parts of boxes have sides of a pixel or more."""
        top_left = np.clip(self.corners[:, :2], 0, self.image_sizes)
        bottom_right = np.clip(self.corners[:, 2:], 0, self.image_sizes)
        return (bottom_right - top_left >= 1).all(1)

    def fit(self) -> Mask:
        return self.are_inside() & self.have_area()


def make_boxes(annotations: Sequence[Mapping[str, Any]], sizes: Sequence[Size]) -> Boxes:
    """Return the boxes of annotations, whose values may have any type."""
    corners = get_corners(annotations)
    areas = [
        annotation['area'] if are_numbers([annotation['area']]) else np.nan
        for annotation in annotations
    ]
    return Boxes(corners, np.array(areas, float), np.array(sizes, float).reshape(-1, 2))


def get_corners(annotations: Sequence[Mapping[str, Any]]) -> Array:
    """Return the left, top, right and bottom edges of boxes (n, 4). Invalid ones are NaN."""
    rows = []
    for annotation in annotations:
        box = annotation['bbox']
        is_valid = are_numbers(box) and len(box) == 4
        rows.append(box if is_valid else [np.nan] * 4)
    boxes = np.array(rows, float).reshape(-1, 4)
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])


def are_inside(corners: Array, sizes: Array) -> Mask:
    """Return whether corners (n, 4) are in images of ``sizes`` (n, 2) or their margin."""
    margin = np.maximum(MARGIN, MARGIN_SHARE * sizes)
    is_right_of_start = corners[:, :2] >= -margin
    is_left_of_end = corners[:, 2:] <= sizes + margin
    return (is_right_of_start & is_left_of_end).all(1)


def find_object_faults(
    annotations: Sequence[Mapping[str, Any]],
    sizes: Sequence[Size],
    with_masks: bool,
    box_format: str = XYWH,
) -> tuple[list[Rule | None], str]:
    """Return the rule that each object breaks, or None, and what the boxes look like.

    Args:
        annotations: COCO annotations, whose values may have any type.
        sizes: The (width, height) of their images.
        with_masks: Whether masks are trained.
        box_format: How the dataset's format writes boxes.
    """
    boxes = make_boxes(annotations, sizes)
    look = guess_box_format(boxes, box_format)
    faults = np.full(len(annotations), None, object)
    # Later rules count more: what is no number is not outside.
    faults[(boxes.areas <= 0) | ~boxes.have_area()] = NO_AREA
    faults[~boxes.are_inside()] = OUTSIDE
    faults[~boxes.are_finite()] = NOT_FINITE
    are_misread = look not in ('', OTHER_SIZE) and (faults == OUTSIDE).sum() > 2
    if are_misread:  # some misread boxes stay inside of their image
        faults[:] = MISREAD
    if with_masks:
        judge_masks(annotations, boxes, faults)
    return faults.tolist(), look


def judge_masks(
    annotations: Sequence[Mapping[str, Any]], boxes: Boxes, faults: NDArray[np.object_]
) -> None:
    """Set the faults of objects whose mask is invalid, outside, or unlike its box."""
    edges = np.full(boxes.corners.shape, np.nan)
    for index in range(len(annotations)):
        if faults[index] is not None:
            continue
        width, height = boxes.image_sizes[index]
        measured = measure_mask(annotations[index].get('segmentation'), int(width), int(height))
        if isinstance(measured, Rule):
            faults[index] = measured
        else:
            edges[index] = measured
    limits = np.maximum(MAX_DIFFERENCE, MAX_DIFFERENCE_SHARE * np.tile(boxes.sides, 2))
    faults[(abs(edges - boxes.corners) > limits).any(1)] = DIFFERENT  # False for NaN
    is_measured = np.isfinite(edges).all(1)
    faults[is_measured & ~are_inside(edges, boxes.image_sizes)] = OUTSIDE


def guess_box_format(boxes: Boxes, box_format: str) -> str:
    """Return what boxes look like if many misfit their images, or '' if most fit."""
    is_finite = np.isfinite(boxes.corners).all(1)
    corners, sizes = boxes.corners[is_finite], boxes.image_sizes[is_finite]
    num_misfits = count_misfits(corners, sizes)
    has_misfits = num_misfits > 0
    are_many = are_too_many(num_misfits, len(corners))
    for look, other_corners, other_sizes in iter_looks(corners, sizes, box_format):
        num_others = count_misfits(other_corners, other_sizes)
        # A single misfit suffices if all boxes fit these formats.
        if look in (XYWH, CENTRES) and has_misfits and num_others == 0:
            return look
        if are_many and not are_too_many(num_others, len(corners)):
            return look
    num_outside = (~are_inside(corners, sizes)).sum()
    return OTHER_SIZE if are_too_many(num_outside, len(corners)) else ''


def count_misfits(corners: Array, sizes: Array) -> int:
    boxes = Boxes(corners, np.ones(len(corners)), sizes)
    return int((~boxes.fit()).sum())


def iter_looks(corners: Array, sizes: Array, box_format: str) -> Iterator[tuple[str, Array, Array]]:
    """Yield what boxes could be, with the corners and image sizes that they would then have."""
    first, last = corners[:, :2], corners[:, 2:]
    side = last - first
    written = {XYWH: (first, side), XYXY: (first, last), CENTRES: (first + side / 2, side)}
    for name, read in BOX_FORMATS.items():
        yield name, np.hstack(read(*written[box_format])), sizes
    scale = np.tile(sizes, 2)
    yield 'boxes of images rotated by 90 degrees', corners, sizes[:, ::-1]
    yield 'pixels instead of fractions of the image', corners / scale, sizes
    yield 'fractions of the image instead of pixels', corners * scale, sizes


def measure_mask(mask: Any, width: int, height: int) -> Array | Rule:
    """Return the left, top, right and bottom edge of a mask, or the rule that it breaks.

    ``mask`` is a COCO ``segmentation`` of any type.
    """
    if isinstance(mask, dict):
        return measure_rle(mask, width, height)
    if not mask or not isinstance(mask, list) or not all(map(are_numbers, mask)):
        return NO_MASK
    are_polygons = all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in mask)
    if not are_polygons or sum(map(measure_area, mask)) < 1:
        return FEW_POINTS
    x = [value for polygon in mask for value in polygon[::2]]
    y = [value for polygon in mask for value in polygon[1::2]]
    return np.array([min(x), min(y), max(x), max(y)], float)


def measure_rle(mask: dict[str, Any], width: int, height: int) -> Array | Rule:
    counts = mask.get('counts')
    if isinstance(counts, str):
        counts = decode_counts(counts)
    if mask.get('size') != [height, width] or not isinstance(counts, list):
        return NO_MASK
    are_counts = all(type(count) is int and count >= 0 for count in counts)
    if not are_counts or sum(counts) != height * width:
        return NO_MASK
    from pycocotools import mask as coco_mask  # imported here, because polygons do not need it

    rle = coco_mask.frPyObjects({'size': [height, width], 'counts': counts}, height, width)
    left, top, box_width, box_height = coco_mask.toBbox(rle).tolist()
    if not box_width or not box_height:
        return FEW_POINTS
    return np.array([left, top, left + box_width, top + box_height])


def measure_area(polygon: Sequence[float]) -> float:
    """Return the area of a polygon [x1, y1, x2, y2, ...]."""
    x, y = np.reshape(polygon, (-1, 2)).T.astype(float)
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def decode_counts(text: str) -> list[int] | None:
    """Decode the counts of COCO's compressed RLE, or return None if the text is invalid.

    pycocotools does not check the text, and may read beyond its end. A character has five bits,
    and a sixth that says whether more follow. From the fourth count on, differences from the count
    two before are stored.
    """
    # No image needs a number of more than 12 characters.
    if not re.fullmatch('([P-o]{0,11}[0-O])*', text):
        return None
    counts: list[int] = []
    for number in re.findall('[P-o]*[0-O]', text):
        codes = [ord(character) - 48 for character in number]
        value = sum((code & 0x1F) << 5 * i for i, code in enumerate(codes))
        is_negative = codes[-1] & 0x10
        if is_negative:
            value -= 1 << 5 * len(codes)
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts
