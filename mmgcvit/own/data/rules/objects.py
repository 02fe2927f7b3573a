"""Rules for the objects of a folder: how its tool has written crowds, copies, rotated rectangles
and tracks, and whether masks are only boxes.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from ....datasets.annotations import Box, LabelledObject, Mask, Unusable
from ....datasets.rules.objects import REPEATED_OBJECTS, Place, find_in_objects, make_object_key
from ....datasets.rules.rule import Finding, FolderEffect, Rule
from ....datasets.shapes import measure_list
from ..object_records import ObjectImage, ObjectSplit
from ..shapes import fill_of_box, is_rectangle
from .folder_rules import make_folder_note

MIN_FILLED = 0.99  # the part of its box that a polygon of its corners fills
BOX_MASKS = make_folder_note(
    'masks that are the corners of their boxes, as all polygons are', 'Train boxes: --task detect'
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
TRACK_IDS = make_folder_note(
    'ids of tracks (track_id, of videos), which are not trained: an object of each frame is one',
    'Nothing to do: neighbouring frames of one video are held out together',
)


def find_maskless_copies(images: Sequence[ObjectImage]) -> dict[Place, Finding]:
    """Return the objects without a mask that are there with one too, as CVAT has exported them."""
    found = {}
    for image_index, image in enumerate(images):
        with_masks = {
            make_object_key(each, False) for each in image.objects if each.mask is not None
        }
        for object_index, each in enumerate(image.objects):
            if each.mask is None and make_object_key(each, False) in with_masks:
                example = f'annotation {each.id} of {image.name}'
                found[image_index, object_index] = Finding(REPEATED_OBJECTS, example)
    return found


def find_crowd_masks(splits: Mapping[str, ObjectSplit]) -> dict[str, dict[Place, Finding]]:
    """Return the ignored objects with RLE, by split: they are crowds or, if no object is of another
    kind, objects that CVAT's brush has drawn.
    """
    objects = [each for split in splits.values() for _, each in split.iter_objects()]
    rule = BRUSH_MASKS if all(map(is_crowd_mask, objects)) else CROWD_MASKS
    return {
        name: find_in_objects(split.images, partial(check_crowd_mask, rule, split.annotation_file))
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


def is_box_mask(each: LabelledObject) -> bool:
    """Return whether the mask of an object is a polygon with the corners of its box.

    The object breaks no rule.
    """
    assert isinstance(each.box, Box)
    if not isinstance(each.mask, Sequence) or len(each.mask) > 1:
        return False
    polygon = each.mask[0]
    corners = set(zip(polygon[::2], polygon[1::2], strict=True))
    return (
        len(corners) == 4 and measure_list(polygon) > MIN_FILLED * each.box.width * each.box.height
    )
