"""Check annotation files in COCO's format."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from ...config import iter_transforms
from ...errors import MANY, get_first_line, shorten
from ..classes import MAX_ID
from .image_files import ImageFile, find_missing
from .issues import Issue, Report

Entry = Mapping[str, Any]
IssueExamples = Iterator[tuple[Issue, list[str] | None]]

NOT_COCO = Issue(
    "is not an annotation file in COCO's format", 'Export its lists of images, annotations and categories again'
)
DUPLICATE_IDS = Issue(
    'duplicate ids or category names, or ids of annotations that pycocotools cannot store, such as 0',
    'Give each entry a unique id, starting from 1, and each category a unique name',
)
OTHER_CATEGORIES = Issue(
    'categories in another order than the classes of the config, or with other names',
    "Use the names and the order of the file's categories for the config's classes. mmdet numbers labels in this order",
)
NO_SIZE = Issue('images without a positive width and height', 'Write both in pixels, as integers')
NOT_LISTED = Issue('annotations of images or categories that the file does not list', 'List them too', stops_run=False)
NO_OBJECTS = Issue('nothing to train on', "Change the config's classes, or label objects whose iscrowd is 0")
WRONG_CROWD = Issue('values of iscrowd other than 0 and 1', 'Write 0, or 1 for groups of objects')
NOT_FINITE = Issue('boxes or areas that are not finite numbers', 'Write bbox as [x, y, width, height], in pixels')
DEGENERATE_BOXES = Issue(
    'boxes under a pixel in width or height, outside of the image or of area zero',
    'Training ignores them, but evaluation counts them',
    stops_run=False,
)
UNIGNORED = Issue("objects with the key 'ignore'", 'Write iscrowd: 1, or evaluation counts them', stops_run=False)
WRONG_MASKS = Issue(
    "annotations whose mask (segmentation) is missing, or neither polygons nor RLE of the image's size",
    'Export them again, or train on boxes only: masks = False in configs/custom_coco.py, or --task detect',
)

# Polygons reach at most this multiple of the image's longer side beyond its origin.
MAX_EXCESS = 10
# The lists in a COCO file, and the keys that mmdet reads in each entry of a list.
KEYS = {
    'images': {'id', 'file_name', 'height', 'width'},
    'annotations': {'id', 'image_id', 'category_id', 'bbox', 'area'},
    'categories': {'id', 'name'},
}


def read_json(path: str, report: Report) -> Any:
    """Read a JSON file. If that fails, report an issue and return None."""
    try:
        return json.loads(Path(path).read_text(encoding='utf-8-sig'))
    except (OSError, ValueError, RecursionError) as error:
        report.add(NOT_COCO, path, [f'not valid JSON in UTF-8: {get_first_line(error)}'])
        return None


def check_content(path: str, content: Any, is_scored: bool, report: Report) -> dict[str, list[Entry]] | None:
    """Return the content of a COCO file. If lists or keys are missing, report an issue and return None.

    A dataset for validation or test (``is_scored``) may have no list of annotations. If it has one, each annotation
    needs ``iscrowd``.
    """
    content = content if isinstance(content, dict) else {}
    if is_scored and 'annotations' not in content:
        report.notes.append(f'{path} has no annotations, so predictions on its images cannot be scored')
        content = {**content, 'annotations': []}
    missing = [f'no {name}' for name in KEYS if not isinstance(content.get(name), list)]
    for name, keys in {} if missing else KEYS.items():
        # pycocotools, which computes the scores, reads iscrowd of all annotations.
        keys = keys | {'iscrowd'} if is_scored and name == 'annotations' else keys
        for index, entry in enumerate(content[name]):
            entry = entry if isinstance(entry, dict) else {}
            if not keys <= entry.keys():
                absent = ' and '.join(map(repr, sorted(keys - entry.keys())))
                missing.append(f'{name}[{index}] (id {entry.get("id")}) has no {absent}')
    report.add(NOT_COCO, path, missing)
    return None if missing else content


def check_coco(
    dataset: BaseDataset, settings: ConfigDict, content: Any, is_scored: bool, report: Report, assigners: str = ''
) -> list[ImageFile]:
    """Check and count the annotations of a CocoDataset. Return its images whose file exists and whose size is valid.

    ``assigners`` are those of the model that take ignored objects for background.
    """
    path = dataset.ann_file
    try:
        content = None if content is None else check_content(path, content, is_scored, report)
        if content is None:
            return []
        names = {category['id']: category['name'] for category in content['categories']}
        classes = dataset.metainfo.get('classes') or list(names.values())
        sizes = {
            image['id']: (int(image['width']), int(image['height']))
            for image in content['images']
            if all(type(image[side]) in (int, float) and image[side] >= 1 for side in ('width', 'height'))
        }
        used_ids = {category_id for category_id, name in names.items() if name in classes}
        objects = [obj for obj in content['annotations'] if obj['image_id'] in sizes and obj['category_id'] in used_ids]
        has_masks = any(transform.get('with_mask') for transform in iter_transforms(settings))
        entry_issues = check_entries(content, sizes, classes, is_scored)
        file_names = {image['id']: image['file_name'] for image in content['images']}
        for issue, examples in chain(entry_issues, check_objects(objects, sizes, file_names, has_masks, is_scored)):
            report.add(issue, path, examples)
        counts = Counter(names[obj['category_id']] for obj in objects if not obj.get('iscrowd'))
        text = ', '.join(f'{counts[name]} {name}' for name in classes)
        if num_ignored := len(objects) - counts.total():
            text += f'; {num_ignored} ignored'
            if assigners and not is_scored:
                report.notes.append(f'{path}: training takes ignored objects for background, because of {assigners}')
        report.summaries.append(f'{path}: {len(content["images"])} images; objects: {text}')
        # Join the paths with os.path, as mmdet does.
        folder = dataset.data_prefix.get('img', '')
        paths = {image_id: os.path.join(folder, name) for image_id, name in file_names.items()}  # noqa: PTH118
    # These errors mean that a value has another type than in COCO's format, for example an id that is a list.
    except (TypeError, AttributeError, ArithmeticError) as error:
        report.add(NOT_COCO, path, [get_first_line(error)])
        return []
    missing = find_missing(path, paths.values(), report)
    return [ImageFile(paths[image_id], size) for image_id, size in sizes.items() if paths[image_id] not in missing]


def check_entries(
    content: dict[str, list[Entry]], sizes: Mapping[Any, tuple[int, int]], classes: Sequence[str], is_scored: bool
) -> IssueExamples:
    """Yield issues of ids, of the categories' order, of image sizes, and of ids that refer to missing entries."""
    for name, key in [*((name, 'id') for name in KEYS), ('categories', 'name')]:
        counts = Counter(entry[key] for entry in content[name])
        # pycocotools reads id 0 as "no match", and stores ids as floats.
        is_stored = is_scored and name == 'annotations'
        wrong = [v for v, n in counts.items() if n > 1 or (is_stored and not (type(v) is int and 0 < v < MAX_ID))]
        yield DUPLICATE_IDS, [f'{name} {key} {str(value)[:60]}' for value in wrong]
    crowds = [obj for obj in content['annotations'] if obj.get('iscrowd', 0) not in (0, 1)]
    yield UNIGNORED, [f'annotation {obj["id"]}' for obj in content['annotations'] if obj.get('ignore')]
    yield WRONG_CROWD, [f'annotation {obj["id"]} iscrowd {obj["iscrowd"]!r:.60}' for obj in crowds]
    names = [category['name'] for category in content['categories']]
    used = [name for name in names if name in classes]
    if used != [*classes] and len({*used}) == len(used):
        yield OTHER_CATEGORIES, [f'the file has {shorten(names, MANY)}, the config {shorten(classes, MANY)}']
    no_size = [image for image in content['images'] if image['id'] not in sizes]
    yield NO_SIZE, [f'{image["file_name"]} {image["width"]} x {image["height"]}' for image in no_size]
    for name, key in (('images', 'image_id'), ('categories', 'category_id')):
        listed_ids = {entry['id'] for entry in content[name]}
        unlisted = [obj for obj in content['annotations'] if obj[key] not in listed_ids]
        yield NOT_LISTED, [f'annotation {obj["id"]} {key} {obj[key]}' for obj in unlisted]


def check_objects(
    objects: Sequence[Entry],
    sizes: Mapping[Any, tuple[int, int]],
    file_names: Mapping[Any, str],
    has_masks: bool,
    is_scored: bool,
) -> IssueExamples:
    """Yield issues of boxes and areas, of masks if the config loads them, and of training without any object."""

    def name_object(obj: Entry) -> str:
        return f'annotation {obj["id"]} of {file_names[obj["image_id"]]}'

    image_sizes = np.array([sizes[obj['image_id']] for obj in objects], float).reshape(-1, 2)
    top_left, extent = np.hsplit(convert_to_floats([obj['bbox'] for obj in objects], 4), 2)
    area = convert_to_floats([[obj['area']] for obj in objects], 1)[:, 0]
    bottom_right = top_left + extent
    is_finite = np.isfinite(np.column_stack([bottom_right, area])).all(1)
    is_degenerate = (area <= 0) | ((extent < 1) | (bottom_right <= 0) | (top_left >= image_sizes)).any(1)
    for issue, is_affected in ((NOT_FINITE, ~is_finite), (DEGENERATE_BOXES, is_finite & is_degenerate)):
        affected = [objects[i] for i in np.flatnonzero(is_affected)]
        yield issue, [f'{name_object(obj)}, bbox {obj["bbox"]}' for obj in affected]
    loaded = [objects[i] for i in np.flatnonzero(is_finite & ~is_degenerate) if not objects[i].get('ignore')]
    if not is_scored and all(obj.get('iscrowd') for obj in loaded):
        yield NO_OBJECTS, None
    if has_masks:
        checked = objects if is_scored else loaded
        invalid = [obj for obj in checked if not is_mask(obj.get('segmentation'), *sizes[obj['image_id']], is_scored)]
        yield WRONG_MASKS, [name_object(obj) for obj in invalid]


def convert_to_floats(rows: Sequence[Any], width: int) -> NDArray[np.float64]:
    """Convert a list of rows to an array (rows, width). Any row but a list of ``width`` numbers becomes NaN."""

    def is_valid(row: Any) -> bool:
        return isinstance(row, list) and len(row) == width and {*map(type, row)} <= {int, float}

    return np.array([row if is_valid(row) else [np.nan] * width for row in rows], float).reshape(-1, width)


def is_mask(mask: Any, width: int, height: int, is_scored: bool) -> bool:
    """Return whether a segmentation is a list of polygons of finite numbers, or an RLE of the image's size.

    mmdet leaves out polygons of fewer than three points in training, but scoring fails on them. Polygons that reach far
    beyond the image crash pycocotools.
    """
    if isinstance(mask, dict):
        counts = mask.get('counts')
        counts = decode_counts(counts) if isinstance(counts, str) else counts
        is_valid = isinstance(counts, list) and all(type(count) is int and count >= 0 for count in counts)
        return mask.get('size') == [height, width] and is_valid and sum(counts) == height * width
    if not isinstance(mask, list) or not mask or not all(isinstance(polygon, list) for polygon in mask):
        return False
    limit = MAX_EXCESS * max(width, height)
    is_near = all(abs(value) <= limit for value in chain(*mask))  # False for NaN
    return is_near and not (is_scored and any(len(polygon) < 6 or len(polygon) % 2 for polygon in mask))


def decode_counts(text: str) -> list[int]:
    """Decode the counts of COCO's compressed RLE. pycocotools does not check the text, and may read beyond its end.

    A character has five bits, and a sixth that says whether more follow. From the fourth run on, the length is the
    difference from the one two runs before.
    """
    counts = []
    # No image needs a number of more than 12 characters.
    for number in re.findall('[P-o]*[0-O]', text) if re.fullmatch('([P-o]{0,11}[0-O])*', text) else ():
        codes = [ord(character) - 48 for character in number]
        value = sum((code & 0x1F) << 5 * i for i, code in enumerate(codes))
        value -= (codes[-1] & 0x10) << 5 * len(codes) - 4  # the sign
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts
