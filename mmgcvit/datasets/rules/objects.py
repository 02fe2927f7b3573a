"""Rules for objects: boxes and masks lie in their image, have an area, and agree."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import mul
from typing import Any

import numpy as np

from ..records import ObjectSplit, Size, are_numbers
from .rule import Effect, Problems, Rule, make_config_rule, make_folder_note

# Tools round, so boxes and masks may leave an image by 2 pixels or 1 % of its side, and the edges
# of a box and its mask may differ by 3 pixels or 10 % of the box's side.
MARGIN = (2, 0.01)
MAX_DIFFERENCE = (3, 0.1)
MAX_RING_ERROR = 0.01  # of the area of a ring, relative to its outline
MIN_FILLED = 0.99  # the part of its box that a polygon of its corners fills


make_object_rule = partial(
    Rule, remedy='Correct or remove them', unit='object', in_config=Effect.STOPS_IF_MANY
)
NOT_FINITE = make_object_rule('bbox or area are not finite numbers', in_config=Effect.STOPS)
OUTSIDE = make_object_rule(
    'the box or mask leaves the image',
    remedy='Correct or remove them. COCO has boxes as [x, y, width, height] in pixels, YOLO as '
    '[centre x, centre y, width, height] in fractions of the image',
)
NO_AREA = make_object_rule(
    'the visible part of the box is under a pixel in width or height, or its area is not above 0'
)
NO_MASK = make_object_rule(
    "the mask (segmentation) is missing, or neither polygons nor RLE of the image's size",
    in_config=Effect.STOPS,
)
# In validation and test, it stops a run.
FEW_POINTS = make_object_rule(
    'the mask has no area, or a polygon of fewer than three points or an odd number of coordinates'
)
DIFFERENT = make_object_rule('box and mask contradict each other')
RING = make_object_rule(
    'by its area, the mask has a hole, which would be filled',
    remedy='Export the masks as RLE: polygons have no holes',
)
FULL_IMAGES = make_config_rule(
    'images with more objects than the model finds in one',
    'In a template, raise max_objects. In another config, raise max_per_img of test_cfg and of its '
    'proposals. A query of DINO or Mask2Former finds one object at most',
    in_config=Effect.NOTED,
)
BOX_MASKS = make_folder_note(
    'masks that are the corners of their boxes, as all polygons are', 'Train boxes: --task detect'
)

Edges = Sequence[float]  # the left, top, right and bottom edge of a box or a mask, in pixels


def get_edges(box: Any) -> Edges | None:
    """Return the edges of COCO's box [x, y, width, height], or None if it is not four numbers."""
    if not are_numbers(box) or len(box) != 4:
        return None
    left, top, width, height = box
    return left, top, left + width, top + height


def is_outside(edges: Edges, size: Size) -> bool:
    """Return whether a box or a mask leaves an image of (width, height) by more than
    :data:`MARGIN`.
    """
    left, top, right, bottom = edges
    width, height = size
    x_margin = max(MARGIN[0], MARGIN[1] * width)
    y_margin = max(MARGIN[0], MARGIN[1] * height)
    leaves_width = left < -x_margin or right > width + x_margin
    leaves_height = top < -y_margin or bottom > height + y_margin
    return leaves_width or leaves_height


def leave_out_wrong(split: ObjectSplit, with_masks: bool, problems: Problems) -> ObjectSplit:
    """Return a split with the objects that break no rule.

    Args:
        split: Images with objects, whose values may have any type.
        with_masks: Whether masks are trained.
        problems: Examples of the others are added to it, by their rule.
    """
    kept = []
    for entry, image in split.iter_annotations():
        size = image['width'], image['height']
        rule = find_box_rule(entry, size)
        if with_masks and not rule:
            rule = find_mask_rule(entry, size)
        if rule:
            problems[rule].append(
                f'annotation {entry["id"]} of {image["file_name"]}, '
                f'bbox {entry["bbox"]!s:.80}, area {entry["area"]!s:.20}'
            )
        else:
            kept.append(entry)
    return replace(split, annotations=kept)


def find_box_rule(entry: Mapping, size: Size) -> Rule | None:
    """Return the first rule that the box of an object breaks, or None.

    ``entry`` is its annotation in a COCO file, whose values may have any type. ``size`` is the
    (width, height) of the image.
    """
    edges = get_edges(entry['bbox'])
    if edges is None or not are_numbers([entry['area']]):
        return NOT_FINITE
    if is_outside(edges, size):
        return OUTSIDE
    left, top, right, bottom = edges
    width, height = size
    visible_width = min(right, width) - max(left, 0)
    visible_height = min(bottom, height) - max(top, 0)
    if entry['area'] <= 0 or visible_width < 1 or visible_height < 1:
        return NO_AREA
    return None


def find_mask_rule(entry: Mapping, size: Size) -> Rule | None:
    """Return the first rule that the mask of an object breaks, or None.

    The box of the object breaks no rule. ``size`` is the (width, height) of the image.
    """
    rule, edges = measure_mask(entry.get('segmentation'), *map(int, size))
    if rule:
        return rule
    if is_ring(entry['segmentation'], entry['area']):
        return RING
    if is_outside(edges, size):
        return OUTSIDE
    width, height = entry['bbox'][2:]
    sides = (width, height, width, height)
    for edge, box_edge, side in zip(edges, get_edges(entry['bbox']), sides, strict=True):
        if abs(edge - box_edge) > max(MAX_DIFFERENCE[0], MAX_DIFFERENCE[1] * side):
            return DIFFERENT
    return None


def measure_mask(mask: Any, width: int, height: int) -> tuple[Rule | None, Edges]:
    """Return the rule that a mask breaks, or None and the edges of the mask.

    ``mask`` is a COCO ``segmentation`` of any type, in an image of this width and height.
    """
    if isinstance(mask, dict):
        return measure_rle(mask, width, height)
    if not mask or not isinstance(mask, list) or not all(map(are_numbers, mask)):
        return NO_MASK, ()
    are_polygons = all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in mask)
    if not are_polygons or sum(map(measure_list, mask)) < 1:
        return FEW_POINTS, ()
    x = [value for polygon in mask for value in polygon[::2]]
    y = [value for polygon in mask for value in polygon[1::2]]
    return None, [min(x), min(y), max(x), max(y)]


def measure_rle(mask: Mapping, width: int, height: int) -> tuple[Rule | None, Edges]:
    """Return the rule that a mask in RLE breaks, or None and the edges of the mask."""
    counts = mask.get('counts')
    if isinstance(counts, str):
        counts = decode_counts(counts)
    are_counts = isinstance(counts, list) and all(
        type(count) is int and count >= 0 for count in counts
    )
    has_size = mask.get('size') == [height, width]
    if not are_counts or not has_size or sum(counts) != height * width:
        return NO_MASK, ()
    from pycocotools import mask as coco_mask  # imported here: polygons do not need it

    rle = coco_mask.frPyObjects({**mask, 'counts': counts}, height, width)
    box = coco_mask.toBbox(rle).tolist()
    rule = FEW_POINTS if 0 in box[2:] else None
    return rule, get_edges(box)


def is_ring(mask: Any, area: float) -> bool:
    """Return whether the area is that of the largest polygon without the others, its holes.

    Holes that are smaller than the tolerance make no difference.
    """
    if isinstance(mask, dict) or len(mask) < 2:
        return False
    *holes, outline = sorted(map(measure_list, mask))
    tolerance = max(1, MAX_RING_ERROR * outline)
    without_holes = outline - sum(holes)
    return sum(holes) > tolerance and abs(area - without_holes) < tolerance


def is_box_mask(entry: Mapping) -> bool:
    """Return whether the mask of an object is a polygon with the corners of its box."""
    mask = entry['segmentation']
    _, _, width, height = entry['bbox']
    if isinstance(mask, dict) or len(mask) > 1:
        return False
    corners = set(zip(mask[0][::2], mask[0][1::2], strict=True))
    return len(corners) == 4 and measure_list(mask[0]) > MIN_FILLED * width * height


def measure_area(polygon: Sequence[float]) -> float:
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
    counts = []
    for number in re.findall('[P-o]*[0-O]', text):
        codes = [ord(character) - 48 for character in number]
        value = sum((code & 0x1F) << 5 * i for i, code in enumerate(codes))
        if codes[-1] & 0x10:  # the sign
            value -= 1 << 5 * len(codes)
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts
