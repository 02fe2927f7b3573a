"""Read the content of a COCO file as records, which have the entries' values by their types.

Ids and names may be of any simple type, and are as in the file: readers decide what they take.
"""

import gc
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import get_first_line
from .annotations import (
    Box,
    Id,
    Json,
    JsonObject,
    Mask,
    Size,
    Unusable,
    is_id,
    parse_area,
    parse_box,
    parse_mask,
    parse_rotation,
    parse_size,
)

CocoEntry = Mapping[str, Any]  # an entry of a list in a COCO file
RawContent = Mapping[str, Sequence[CocoEntry]]  # the lists of a COCO file
# The lists in a COCO file, and the keys that mmdet reads in each entry of a list.
KEYS = {
    'images': {'id', 'file_name', 'height', 'width'},
    'annotations': {'id', 'image_id', 'category_id', 'bbox', 'area'},
    'categories': {'id', 'name'},
}
# The keys of entries that must be a number or a text, since entries are looked up by them.
SIMPLE_KEYS = {
    'images': ('id', 'file_name'),
    'annotations': ('image_id', 'category_id'),
    'categories': ('id', 'name'),
}
# What to write for keys that tools leave out
HINTS = {
    'area': 'area: of a mask, its pixels; of a box, its width times its height',
    'iscrowd': 'iscrowd: 0, or 1 for a group of objects',
}
# The keys of annotations that are fields of a CocoAnnotation.
READ_KEYS = KEYS['annotations'] | {'segmentation', 'iscrowd', 'ignore'}


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An entry of ``images``."""

    id: Id
    file_name: Id
    size: Size | Unusable
    others: JsonObject  # keys that are not fields here


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """An entry of ``annotations``."""

    id: Any  # a folder's reader numbers annotations anew
    image_id: Id
    category_id: Id
    box: Box | Unusable
    area: float | Unusable
    mask: Mask | Unusable | None
    iscrowd: Json  # 0 if it is missing
    ignore: Json  # None if it is missing
    others: JsonObject


@dataclass(frozen=True, slots=True)
class CocoCategory:
    """An entry of ``categories``."""

    id: Id
    name: Id
    supercategory: Json
    others: JsonObject  # also the supercategory


@dataclass(frozen=True)
class CocoEntries:
    """The lists of a COCO file, whose annotations are as in the file: COCO has 860,000 of them, and
    records of all take seconds and gigabytes.
    """

    images: Sequence[CocoImage]
    annotations: Sequence[CocoEntry]
    categories: Sequence[CocoCategory]


def read_json(path: Path) -> tuple[Any, str]:
    """Return the content of a JSON file, or None and why it cannot be read."""
    try:
        with pause_garbage_collection():
            return json.loads(path.read_text(encoding='utf-8-sig')), ''
    except (OSError, ValueError, RecursionError) as error:
        return None, f'not valid JSON in UTF-8: {get_first_line(error)}'


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Pause Python's search for circles of objects that refer to each other: JSON has none, and the
    search takes a third of the time in which millions of lists are made.
    """
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def find_missing_keys(content: Json, is_scored: bool = False) -> list[str]:
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
            if entry.keys() >= needed:
                continue
            absent = sorted(needed - entry.keys())
            hints = [HINTS[key] for key in absent if key in HINTS]
            hint = f' ({", ".join(hints)})' if hints else ''
            names = ' and '.join(map(repr, absent))
            missing.append(f'{name}[{index}] (id {entry.get("id")}) has no {names}{hint}')
    return missing


def find_wrong_types(content: RawContent) -> list[str]:
    """Return the ids and names that are lists or objects, except ids of annotations.

    The content has all keys (:func:`find_missing_keys`).
    """
    return [
        describe_wrong(name, index, key=key, value=entry[key])
        for name, keys in SIMPLE_KEYS.items()
        for index, entry in enumerate(content[name])
        for key in keys
        if not is_id(entry[key])
    ]


def find_unloadable(content: RawContent) -> list[str]:
    """Return further ids and names with which mmdet and pycocotools cannot load a file.

    A folder's reader numbers annotations anew, and takes numbers as names.
    """
    ids = [
        describe_wrong('annotations', index, key='id', value=entry['id'])
        for index, entry in enumerate(content['annotations'])
        if not is_id(entry['id'])
    ]
    names = [
        f'images[{index}] has the file_name {image["file_name"]!s:.60}, which is not a text'
        for index, image in enumerate(content['images'])
        if is_id(image['file_name']) and not isinstance(image['file_name'], str)
    ]
    return ids + names


def describe_wrong(name: str, index: int, *, key: str, value: Json) -> str:
    return f'{name}[{index}] has the {key} {value!s:.60}, which is neither a number nor a text'


def parse_entries(content: RawContent) -> CocoEntries:
    """Parse the images and categories of a file, and leave its annotations as they are."""
    return CocoEntries(
        images=[parse_image(entry) for entry in content['images']],
        annotations=content['annotations'],
        categories=[parse_category(entry) for entry in content['categories']],
    )


def parse_image(entry: CocoEntry) -> CocoImage:
    return CocoImage(
        id=entry['id'],
        file_name=entry['file_name'],
        size=parse_size(entry['width'], entry['height']),
        others=remove_keys(entry, KEYS['images']),
    )


def parse_annotation(entry: CocoEntry) -> CocoAnnotation:
    return CocoAnnotation(
        id=entry['id'],
        image_id=entry['image_id'],
        category_id=entry['category_id'],
        box=parse_box(entry['bbox']),
        area=parse_area(entry['area']),
        mask=parse_mask(entry.get('segmentation')),
        iscrowd=entry.get('iscrowd', 0),
        ignore=entry.get('ignore'),
        others=remove_keys(entry, READ_KEYS),
    )


def parse_category(entry: CocoEntry) -> CocoCategory:
    return CocoCategory(
        id=entry['id'],
        name=entry['name'],
        supercategory=entry.get('supercategory'),
        others=remove_keys(entry, KEYS['categories']),
    )


def remove_keys(entry: JsonObject, keys: Iterable[str]) -> JsonObject:
    """Return an entry without these keys."""
    return {key: value for key, value in entry.items() if key not in keys}


def find_rotation(entry: JsonObject) -> float:
    """Return the degrees by which CVAT has rotated the rectangle of an annotation, mostly 0.

    ``entry`` are its keys, of which those that have fields in a CocoAnnotation may be left out.
    """
    attributes = entry.get('attributes')
    rotation = attributes.get('rotation') if isinstance(attributes, dict) else None
    return parse_rotation(rotation)
