"""Rules for objects: boxes and masks lie in their image, have an area, agree, and are there once.

Functions that look for them return a dict of findings by the places of the objects: the index of
the image in its split, and that of the object in its image.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..annotations import Box, Edges, LabelledObject, Mask, Rle, Size, Unusable
from ..records import ObjectImage, ObjectSplit
from ..shapes import (
    decode_counts,
    fill_of_box,
    is_polygon,
    is_rectangle,
    measure_list,
)
from .rule import ConfigEffect, Finding, FolderEffect, Rule, make_config_rule, make_folder_note

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
MIN_FILLED = 0.99  # the part of its box that a polygon of its corners fills


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
BOX_MASKS = make_folder_note(
    'masks that are the corners of their boxes, as all polygons are', 'Train boxes: --task detect'
)
REPEATED_OBJECTS = Rule(
    'objects that are annotated more than once, with equal class, box (to 0.1 px) and, if masks '
    'are trained, mask (one is read)',
    'Remove the copies',
    in_folder=FolderEffect.DROPPED,
    in_config=ConfigEffect.NOTED,
)
# CVAT writes objects that were drawn with its brush like crowds. If there are no others, they are
# objects: crowds alone could not be trained.
BRUSH_MASKS = make_folder_note(
    "masks in RLE with iscrowd 1 that are read as objects, since there are no others (CVAT's brush "
    'writes them so)',
    'Write iscrowd 0, or remove crowds',
    in_folder=FolderEffect.READ_AS_OBJECT,
)
CROWD_MASKS = make_folder_note(
    "masks in RLE with iscrowd 1 that are ignored, as COCO's crowds are",
    "Write iscrowd 0 if they are single objects, as those of CVAT's brush",
)
# CVAT writes the box as it was before, and the angle beside it.
TURNED_BOXES = make_folder_note(
    'rectangles that CVAT has rotated (attribute rotation), read as the boxes that enclose them, '
    'or as masks if others have masks',
    'Set the rotation to 0 if the boxes are right as they are',
)
TURNED_IN_CONFIG = make_config_rule(
    'rectangles that CVAT has rotated (attributes.rotation), whose bbox is that before the '
    'rotation',
    'Write the boxes that enclose them, or use train --data FOLDER, which reads them so',
    in_config=ConfigEffect.NOTED,
)
TRACK_IDS = make_folder_note(
    'ids of tracks (track_id, of videos), which are not trained: an object of each frame is one',
    'Nothing to do: neighbouring frames of one video are held out together',
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
    split: ObjectSplit, check: Callable[[ObjectImage, LabelledObject], Finding | None]
) -> dict[Place, Finding]:
    """Return what ``check`` finds in objects, by their places."""
    found = {}
    for image_index, image in enumerate(split.images):
        for object_index, each in enumerate(image.objects):
            finding = check(image, each)
            if finding:
                found[image_index, object_index] = finding
    return found


def find_wrong_objects(split: ObjectSplit, with_masks: bool) -> dict[Place, Finding]:
    """Return the objects whose box breaks a rule or, ``with_masks``, whose mask does."""

    def check(image: ObjectImage, each: LabelledObject) -> Finding | None:
        if isinstance(image.size, Unusable):
            return None  # OTHER_SIZE and NO_SIZE are for it
        rule = find_box_rule(each, image.size)
        if with_masks and not rule:
            rule = find_mask_rule(each, image.size)
        if rule is None:
            return None
        values = f'bbox {each.box!s:.80}, area {each.area!s:.20}'
        return Finding(rule, f'annotation {each.id} of {image.name}, {values}')

    return find_in_objects(split, check)


def find_repeated_objects(split: ObjectSplit, with_masks: bool) -> dict[Place, Finding]:
    """Return the objects that are there more than once, but for the first one each.

    Masks are compared only ``with_masks``.
    """
    found = {}
    for image_index, image in enumerate(split.images):
        seen = set()
        for object_index, each in enumerate(image.objects):
            key = make_object_key(each, with_masks)
            if key in seen:
                example = f'annotation {each.id} of {image.name}'
                found[image_index, object_index] = Finding(REPEATED_OBJECTS, example)
            seen.add(key)
    return found


def find_maskless_copies(split: ObjectSplit) -> dict[Place, Finding]:
    """Return the objects without a mask that are there with one too, as CVAT has exported them."""
    found = {}
    for image_index, image in enumerate(split.images):
        with_masks = {
            make_object_key(each, False) for each in image.objects if each.mask is not None
        }
        for object_index, each in enumerate(image.objects):
            if each.mask is None and make_object_key(each, False) in with_masks:
                example = f'annotation {each.id} of {image.name}'
                found[image_index, object_index] = Finding(REPEATED_OBJECTS, example)
    return found


def make_object_key(each: LabelledObject, with_masks: bool) -> tuple[Hashable, ...]:
    """Return what is equal for equal objects: the class, whether they are ignored, the box and, if
    masks are compared, the mask.
    """
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


def find_crowd_masks(splits: Mapping[str, ObjectSplit]) -> dict[str, dict[Place, Finding]]:
    """Return the ignored objects with RLE, by split: they are crowds or, if no object is of another
    kind, objects that CVAT's brush has drawn.
    """
    objects = [each for split in splits.values() for _, each in split.iter_objects()]
    rule = BRUSH_MASKS if all(map(is_crowd_mask, objects)) else CROWD_MASKS
    return {
        name: find_in_objects(split, partial(check_crowd_mask, rule, split.annotation_file))
        for name, split in splits.items()
    }


def is_crowd_mask(each: LabelledObject) -> bool:
    """Return whether an object is a crowd whose mask is RLE."""
    return each.has_rle and each.is_crowd


def check_crowd_mask(
    rule: Rule, file: Path | None, image: ObjectImage, each: LabelledObject
) -> Finding | None:
    """Return a finding of ``rule`` if an object in an annotation file is a crowd mask."""
    return Finding(rule, f'{file} {each.place}') if is_crowd_mask(each) else None


def find_corner_boxes(split: ObjectSplit) -> list[Finding]:
    """Return a finding if most boxes of a split are those of two corners, [x1, y1, x2, y2].

    The area of an object, or its polygons, are then those of the corners, and not those of
    [x, y, width, height].
    """
    boxes = [each for _, each in split.iter_objects() if isinstance(each.box, Box)]
    corners = [each for each in boxes if is_corner_box(each)]
    if not corners or 2 * len(corners) <= len(boxes):
        return []
    place = split.annotation_file or split.image_folder
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


def are_turned_rectangles(masks: Sequence[Mask | Unusable | None]) -> bool:
    """Return whether all masks are a rectangle of four corners, and one of them is rotated."""
    if not masks or not all(map(is_rectangle, masks)):
        return False
    return any(isinstance(mask, Sequence) and fill_of_box(mask[0]) < MIN_FILLED for mask in masks)


def find_box_masks(splits: Mapping[str, ObjectSplit]) -> list[Finding]:
    """Return a finding if the masks of all objects are the corners of their boxes."""
    objects = [each for split in splits.values() for each in split.objects]
    if objects and all(map(is_box_mask, objects)):
        return [Finding(BOX_MASKS, f'all {len(objects)} objects')]
    return []


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


def is_box_mask(each: LabelledObject) -> bool:
    """Return whether the mask of an object is a polygon with the corners of its box.

    The object breaks no rule.
    """
    if isinstance(each.mask, Rle) or len(each.mask) > 1:
        return False
    polygon = each.mask[0]
    corners = set(zip(polygon[::2], polygon[1::2], strict=True))
    return (
        len(corners) == 4 and measure_list(polygon) > MIN_FILLED * each.box.width * each.box.height
    )
