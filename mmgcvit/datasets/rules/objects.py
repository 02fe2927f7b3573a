"""Rules for objects: boxes and masks lie in their image, have an area, agree, and are there once.

Functions that look for them return a dict of findings by the places of the objects: the index of
the image in its split, and that of the object in its image.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from ..annotations import Box, Edges, ImageObjects, LabelledObject, Mask, Rle, Size, Unusable
from ..shapes import decode_counts, is_polygon, measure_list
from .rule import ConfigEffect, Finding, FolderEffect, Rule, make_config_rule

AnyImage = TypeVar('AnyImage', bound=ImageObjects)
Place = tuple[int, int]  # the index of an image in its split, and of an object in its image
ObjectFindings = Mapping[Place, Finding]

# Tools round, so boxes and masks may leave an image by 2 pixels or 1 % of its side, and the edges
# of a box and its mask may differ by 3 pixels or 10 % of the box's side.
MARGIN = (2, 0.01)
MAX_DIFFERENCE = (3, 0.1)
MIN_VISIBLE = 1  # in pixels: the sides of the part of a box that is in its image
MIN_MASK_AREA = 1  # in square pixels, of all polygons of a mask together
BOX_DECIMALS = 1  # computed boxes are not exact: those that are equal after rounding are one
MAX_RING_ERROR = 0.01  # of the area of a ring, relative to its outline
MAX_AREA_ERROR = 0.01  # relative, by which an area may differ from that of its box


make_object_rule = partial(
    Rule, remedy='Correct or remove them', unit='object', in_config=ConfigEffect.STOPS_IF_MANY
)
NOT_FINITE = make_object_rule('bbox or area are not finite numbers', in_config=ConfigEffect.STOPS)
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
    in_config=ConfigEffect.STOPS,
)
FEW_POINTS = make_object_rule(
    'the mask has no area, or a polygon of fewer than three points or an odd number of coordinates',
    in_scoring=ConfigEffect.STOPS,  # pycocotools fails on a mask without area
)
DIFFERENT = make_object_rule('box and mask contradict each other')
RING = make_object_rule(
    'the stated area shows that the mask has a hole, which the polygon would fill',
    remedy='Export the masks as RLE: polygons have no holes',
)
FULL_IMAGES = make_config_rule(
    'images with more objects than the model finds in one',
    'In a template, raise max_objects. In another config, raise max_per_img of test_cfg and of its '
    'proposals. A query of DINO or Mask2Former finds one object at most',
    in_config=ConfigEffect.NOTED,
)
REPEATED_OBJECTS = Rule(
    'objects that are annotated more than once, with equal class, box (to 0.1 px) and, if masks '
    'are trained, mask (one is read)',
    'Remove the copies',
    in_folder=FolderEffect.DROPPED,
    in_config=ConfigEffect.NOTED,
)
TURNED_IN_CONFIG = make_config_rule(
    'rectangles that CVAT has rotated (attributes.rotation), whose bbox is that before the '
    'rotation',
    'Write the boxes that enclose them, or train on the folder without a config, which reads them '
    'so',
    in_config=ConfigEffect.NOTED,
)
CORNER_BOXES = Rule(
    'boxes that are x1, y1, x2, y2 by their area or mask',
    'COCO has [x, y, width, height]: write [x1, y1, x2 - x1, y2 - y1], or correct the areas',
    unit='object',
    in_folder=FolderEffect.REJECTED,
)


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


def find_in_objects(
    images: Sequence[AnyImage], check: Callable[[AnyImage, LabelledObject], Finding | None]
) -> dict[Place, Finding]:
    """Return what ``check`` finds in objects, by their places."""
    found = {}
    for image_index, image in enumerate(images):
        for object_index, each in enumerate(image.objects):
            finding = check(image, each)
            if finding:
                found[image_index, object_index] = finding
    return found


def find_wrong_objects(images: Sequence[ImageObjects], with_masks: bool) -> dict[Place, Finding]:
    """Return the objects whose box breaks a rule or, ``with_masks``, whose mask does."""

    def check(image: ImageObjects, each: LabelledObject) -> Finding | None:
        if isinstance(image.size, Unusable):
            return None  # OTHER_SIZE and NO_SIZE are for it
        rule = find_box_rule(each, image.size)
        if with_masks and not rule:
            rule = find_mask_rule(each, image.size)
        if rule is None:
            return None
        values = f'bbox {each.box!s:.80}, area {each.area!s:.20}'
        return Finding(rule, f'annotation {each.id} of {image.name}, {values}')

    return find_in_objects(images, check)


def find_repeated_objects(images: Sequence[ImageObjects], with_masks: bool) -> dict[Place, Finding]:
    """Return the objects that are there more than once, but for the first one each.

    Masks are compared only ``with_masks``.
    """
    found = {}
    for image_index, image in enumerate(images):
        seen = set()
        for object_index, each in enumerate(image.objects):
            key = make_object_key(each, with_masks)
            if key in seen:
                example = f'annotation {each.id} of {image.name}'
                found[image_index, object_index] = Finding(REPEATED_OBJECTS, example)
            seen.add(key)
    return found


def make_object_key(each: LabelledObject, with_masks: bool) -> tuple[Hashable, ...]:
    """Return what is equal for equal objects: the class, whether they are ignored, the box and, if
    masks are compared, the mask.
    """
    box: Hashable
    if isinstance(each.box, Unusable):
        box = str(each.box)
    else:
        box = tuple(round(value, BOX_DECIMALS) for value in each.box.values)
    mask = make_mask_key(each.mask) if with_masks else None
    return each.class_name, each.is_ignored, box, mask


def make_mask_key(mask: Mask | Unusable | None) -> Hashable:
    """Return what is equal for equal masks."""
    if mask is None or isinstance(mask, Unusable):
        return str(mask)
    if isinstance(mask, Rle):
        return tuple(mask.size), str(mask.counts)
    return tuple(map(tuple, mask))


def find_corner_boxes(images: Sequence[ImageObjects], place: Path) -> list[Finding]:
    """Return a finding if most boxes of a split are those of two corners, [x1, y1, x2, y2].

    The area of an object, or its polygons, are then those of the corners, and not those of
    [x, y, width, height]. ``place`` is the split's annotation file, or the folder of its images.
    """
    boxes = [each for image in images for each in image.objects if isinstance(each.box, Box)]
    corners = [each for each in boxes if is_corner_box(each)]
    if not corners or 2 * len(corners) <= len(boxes):
        return []
    example = (
        f'{place}: {len(corners)} of {len(boxes)} objects, such as bbox {corners[0].box} with area '
        f'{corners[0].area}'
    )
    return [Finding(CORNER_BOXES, example)]


def is_corner_box(each: LabelledObject) -> bool:
    """Return whether a box contradicts the area or the polygons of its object as [x, y, width,
    height], and agrees with them as [x1, y1, x2, y2].
    """
    if isinstance(each.box, Unusable):
        return False
    left, top, right, bottom = each.box.values
    if right <= left or bottom <= top or (left, top) == (0, 0):
        return False
    if isinstance(each.mask, Sequence) and all(map(is_polygon, each.mask)):
        x = [value for polygon in each.mask for value in polygon[::2]]
        y = [value for polygon in each.mask for value in polygon[1::2]]
        edges = [min(x), min(y), max(x), max(y)]
        agrees = are_close(edges, each.box.edges)
        return not agrees and are_close(edges, each.box.values)
    if isinstance(each.area, Unusable):
        return False
    area = each.box.width * each.box.height
    area_of_corners = (right - left) * (bottom - top)
    is_area = abs(each.area - area) <= max(1, MAX_AREA_ERROR * area)
    is_area_of_corners = abs(each.area - area_of_corners) <= max(
        1, MAX_AREA_ERROR * area_of_corners
    )
    return is_area_of_corners and not is_area


def are_close(edges: Edges, others: Edges) -> bool:
    """Return whether edges differ by at most the pixels of :data:`MAX_DIFFERENCE`."""
    return all(
        abs(edge - other) <= MAX_DIFFERENCE[0] for edge, other in zip(edges, others, strict=True)
    )


def find_box_rule(each: LabelledObject, size: Size) -> Rule | None:
    """Return the first rule that the box of an object breaks, or None.

    ``size`` is the (width, height) of the image.
    """
    if isinstance(each.box, Unusable) or isinstance(each.area, Unusable):
        return NOT_FINITE
    if is_outside(each.box.edges, size):
        return OUTSIDE
    left, top, right, bottom = each.box.edges
    width, height = size
    visible_width = min(right, width) - max(left, 0)
    visible_height = min(bottom, height) - max(top, 0)
    if each.area <= 0 or min(visible_width, visible_height) < MIN_VISIBLE:
        return NO_AREA
    return None


def find_mask_rule(each: LabelledObject, size: Size) -> Rule | None:
    """Return the first rule that the mask of an object breaks, or None.

    The box of the object breaks no rule. ``size`` is the (width, height) of the image.
    """
    assert isinstance(each.box, Box)
    assert not isinstance(each.area, Unusable)
    if each.mask is None or isinstance(each.mask, Unusable):
        return NO_MASK
    measured = measure_mask(each.mask, size)
    if measured.rule:
        return measured.rule
    if is_ring(each.mask, each.area):
        return RING
    if is_outside(measured.edges, size):
        return OUTSIDE
    sides = (each.box.width, each.box.height, each.box.width, each.box.height)
    for edge, box_edge, side in zip(measured.edges, each.box.edges, sides, strict=True):
        if abs(edge - box_edge) > max(MAX_DIFFERENCE[0], MAX_DIFFERENCE[1] * side):
            return DIFFERENT
    return None


@dataclass(frozen=True)
class MeasuredMask:
    """The edges of a mask, or the rule that it breaks."""

    rule: Rule | None = None
    edges: Edges = ()


def measure_mask(mask: Mask, size: Size) -> MeasuredMask:
    """Measure a mask in an image of (width, height)."""
    if isinstance(mask, Rle):
        return measure_rle(mask, size)
    if not all(map(is_polygon, mask)) or sum(map(measure_list, mask)) < MIN_MASK_AREA:
        return MeasuredMask(FEW_POINTS)
    x = [value for polygon in mask for value in polygon[::2]]
    y = [value for polygon in mask for value in polygon[1::2]]
    return MeasuredMask(edges=[min(x), min(y), max(x), max(y)])


def measure_rle(mask: Rle, size: Size) -> MeasuredMask:
    """Measure a mask in RLE in an image of (width, height)."""
    width, height = size
    counts = decode_counts(mask.counts) if isinstance(mask.counts, str) else mask.counts
    are_counts = all(count >= 0 for count in counts)
    if not are_counts or mask.size != [height, width] or sum(counts) != height * width:
        return MeasuredMask(NO_MASK)
    from pycocotools import mask as coco_mask  # imported here: polygons do not need it

    rle = coco_mask.frPyObjects({'size': mask.size, 'counts': counts}, height, width)
    box = Box(*coco_mask.toBbox(rle).tolist())
    if 0 in (box.width, box.height):
        return MeasuredMask(FEW_POINTS)
    return MeasuredMask(edges=box.edges)


def is_ring(mask: Mask, area: float) -> bool:
    """Return whether the area is that of the largest polygon without the others, its holes.

    Holes that are smaller than the tolerance make no difference.
    """
    if isinstance(mask, Rle) or len(mask) < 2:
        return False
    *holes, outline = sorted(map(measure_list, mask))
    tolerance = max(1, MAX_RING_ERROR * outline)
    without_holes = outline - sum(holes)
    return sum(holes) > tolerance and abs(area - without_holes) < tolerance
