"""Rules for the content of COCO files: entries, ids, categories, sizes and flags."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import MANY, get_first_line, shorten
from ..records import Entry, are_numbers
from .rule import Effect, Problems, Rule, make_config_rule, make_folder_note

NOT_COCO = Rule(
    "is not an annotation file in COCO's format",
    'Export its images, annotations and categories again',
    in_folder=Effect.REJECTED,
)
UNLISTED = Rule(
    'annotations of images or categories that the file does not list',
    'List them too',
    unit='object',
    in_config=Effect.STOPS_IF_MANY,
)
WRONG_FLAGS = Rule(
    'values of iscrowd and ignore other than 0 and 1',
    'Write 0, or 1 for groups of objects',
    unit='object',
)
BRUSH_MASKS = make_folder_note(
    "masks in RLE with iscrowd 1 that are read as objects, since there are no others (CVAT's brush "
    'writes them so)',
    'Write iscrowd 0, or remove crowds',
)
CROWD_MASKS = make_folder_note(
    "masks in RLE with iscrowd 1 that are ignored, as COCO's crowds are",
    "Write iscrowd 0 if they are single objects, as those of CVAT's brush",
)
# In a folder only repeated ids of images and categories: the reader renumbers all other ids.
DUPLICATE_IDS = Rule(
    'repeated ids or category names, or ids that pycocotools cannot store',
    'Use ids from 1 on',
    in_folder=Effect.REJECTED,
)
# Readers of folders order categories as training does, so this rule is for configs only.
OTHER_CATEGORIES = make_config_rule(
    'categories in another order than the classes of the config, or with other names',
    'Copy their names and order',
)
# Folders have images of another size instead.
NO_SIZE = make_config_rule(
    'images without a positive width and height', 'Write both in pixels, as integers'
)
NO_OBJECTS = Rule(
    'nothing to train on',
    "Label objects that are not crowds or difficult, or change a config's classes",
    in_folder=Effect.REJECTED,
)

Content = Mapping[str, Sequence[Entry]]  # the lists of a COCO file
# The lists in a COCO file, and the keys that mmdet reads in each entry of a list.
KEYS = {
    'images': {'id', 'file_name', 'height', 'width'},
    'annotations': {'id', 'image_id', 'category_id', 'bbox', 'area'},
    'categories': {'id', 'name'},
}
MAX_ID = 1 << 53  # ids are smaller: pycocotools stores those of annotations as floats


def read_json(path: Path) -> tuple[Any, str]:
    """Return the content of a JSON file, or None and why it cannot be read."""
    try:
        return json.loads(path.read_text(encoding='utf-8-sig')), ''
    except (OSError, ValueError, RecursionError) as error:
        return None, f'not valid JSON in UTF-8: {get_first_line(error)}'


def is_coco(content: Any) -> bool:
    """Return whether content has at least two of COCO's lists."""
    return isinstance(content, dict) and len(KEYS.keys() & content.keys()) > 1


def find_missing_keys(content: Any, is_scored: bool = False) -> list[str]:
    """Return which of COCO's lists content lacks, or which keys its entries lack.

    Args:
        content: The content of a JSON file, of any type.
        is_scored: Whether scores are computed on it, for which objects need ``iscrowd``.
    """
    lists = content if isinstance(content, dict) else {}
    missing = [f'no {name}' for name in KEYS if not isinstance(lists.get(name), list)]
    if missing:
        return missing
    for name, keys in KEYS.items():
        # pycocotools, which computes the scores, reads iscrowd of all annotations.
        is_read = is_scored and name == 'annotations'
        needed = keys | {'iscrowd'} if is_read else keys
        for index, entry in enumerate(lists[name]):
            entry = entry if isinstance(entry, dict) else {}
            absent = ' and '.join(map(repr, sorted(needed - entry.keys())))
            if absent:
                missing.append(f'{name}[{index}] (id {entry.get("id")}) has no {absent}')
    return missing


def has_size(image: Entry) -> bool:
    """Return whether an image's width and height are positive numbers."""
    sides = [image['width'], image['height']]
    return are_numbers(sides) and min(sides) >= 1


def find_content_problems(content: Content, classes: Sequence[str], is_scored: bool) -> Problems:
    """Return the problems of a config's COCO file with ids, categories, sizes and flags.

    Args:
        content: The lists of the file, whose entries have all keys (:func:`find_missing_keys`).
        classes: The class names of the config.
        is_scored: Whether scores are computed on it, for which pycocotools must store the ids.
    """
    annotations = content['annotations']
    return {
        DUPLICATE_IDS: find_wrong_ids(content, is_scored),
        WRONG_FLAGS: [
            f'annotation {entry["id"]} iscrowd {entry["iscrowd"]!r:.60}'
            for entry in annotations
            if entry.get('iscrowd', 0) not in (0, 1)
        ],
        OTHER_CATEGORIES: find_other_categories(content['categories'], classes),
        NO_SIZE: [
            f'{image["file_name"]} {image["width"]} x {image["height"]}'
            for image in content['images']
            if not has_size(image)
        ],
        UNLISTED: find_unlisted(content),
    }


def find_wrong_ids(content: Content, is_scored: bool) -> list[str]:
    """Return ids and category names that occur twice, and ids that scores cannot have."""
    wrong = []
    for name, key in [*((name, 'id') for name in KEYS), ('categories', 'name')]:
        for value, number in Counter(entry[key] for entry in content[name]).items():
            is_integer = type(value) is int
            if name == 'annotations':  # pycocotools reads 0 as "no match"
                is_storable = is_integer and 0 < value < MAX_ID
            else:
                is_storable = not is_integer or abs(value) < MAX_ID
            if number > 1 or (is_scored and not is_storable):
                wrong.append(f'{name} {key} {str(value)[:60]}')
    return wrong


def find_other_categories(categories: Sequence[Entry], classes: Sequence[str]) -> list[str]:
    """Return both as text if the categories that a config uses are not its classes, in their order.

    Else, return nothing.
    """
    names = [category['name'] for category in categories]
    # DUPLICATE_IDS is for repeated names.
    used = [name for name in dict.fromkeys(names) if name in classes]
    if used == list(classes):
        return []
    return [f'the file has {shorten(names, MANY)}, the config {shorten(classes, MANY)}']


def find_unlisted(content: Content) -> list[str]:
    """Return annotations whose image or category is not listed."""
    unlisted = []
    for name, key in (('images', 'image_id'), ('categories', 'category_id')):
        listed = {entry['id'] for entry in content[name]}
        unlisted += [
            f'annotation {entry["id"]} {key} {entry[key]}'
            for entry in content['annotations']
            if entry[key] not in listed
        ]
    return unlisted
