"""Check annotation files in COCO's format."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from ...errors import get_first_line, shorten
from .images import ImageFile, find_missing
from .report import Issue, Report
from .sources import iter_steps

Entry = Mapping[str, Any]
Found = Iterator[tuple[Issue, list[str] | None]]

NOT_COCO = Issue(
    "is not an annotation file in COCO's format", 'export lists of images, annotations and categories again'
)
DUPLICATE_IDS = Issue(
    'ids that are used twice, or annotations of id 0, which pycocotools does not score',
    'give each entry an id of its own, from 1',
)
OTHER_CATEGORIES = Issue(
    'categories in another order than the classes of the config, or of other names',
    "spell and sort the config's classes as the file's categories: mmdet numbers labels by the file",
)
NO_SIZE = Issue('images without a width and height above zero', 'write both in pixels, as whole numbers')
NOT_LISTED = Issue('annotations of images or categories that the file does not list', 'list them', stops=False)
NO_OBJECTS = Issue('nothing to train on', 'no annotation is left of what the config asks for')
NOT_FINITE = Issue('boxes or areas that are not finite numbers', 'write bbox as [x, y, width, height], in pixels')
NO_AREA = Issue(
    'boxes under a pixel in width or height, outside of the image or of area zero',
    'training leaves them out, scores count them',
    stops=False,
)
WRONG_MASKS = Issue(
    "annotations whose mask (segmentation) is missing, or neither polygons nor RLE of the image's size",
    'export them again, or with boxes only start from configs/custom_coco_boxonly.py',
)

# What mmdet reads of each entry.
KEYS = {
    'images': {'id', 'file_name', 'height', 'width'},
    'annotations': {'id', 'image_id', 'category_id', 'bbox', 'area'},
    'categories': {'id', 'name'},
}


def read_json(path: str, report: Report) -> Any:
    """Read a JSON file; None, reported, if that fails."""
    try:
        return json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        report.add(NOT_COCO, path, [f'not valid JSON in UTF-8: {get_first_line(error)}'])
        return None


def select_entries(place: str, content: Any, is_scored: bool, report: Report) -> dict[str, list[Entry]] | None:
    """Images, annotations and categories; None, reported, where some are missing or lack a key."""
    content = content if isinstance(content, dict) else {}
    if is_scored and 'annotations' not in content:
        report.notes.append(f'{place} has no annotations: there is nothing to score against')
        content = {**content, 'annotations': []}
    wrong = [f'no {name}' for name in KEYS if not isinstance(content.get(name), list)]
    for name, keys in {} if wrong else KEYS.items():
        # pycocotools reads it of all annotations.
        keys = keys | {'iscrowd'} if is_scored and name == 'annotations' else keys
        for number, entry in enumerate(content[name]):
            if not keys <= entry.keys():
                absent = ' and '.join(map(repr, sorted(keys - entry.keys())))
                wrong.append(f'{name}[{number}] (id {entry.get("id")}) has no {absent}')
    report.add(NOT_COCO, place, wrong)
    return None if wrong else content


def check_coco(
    dataset: BaseDataset, settings: ConfigDict, content: Any, is_scored: bool, report: Report
) -> list[ImageFile]:
    """Check the annotations of a CocoDataset and count its objects; the images that exist and have a size."""
    place = dataset.ann_file
    try:
        content = None if content is None else select_entries(place, content, is_scored, report)
        if content is None:
            return []
        names = {category['id']: category['name'] for category in content['categories']}
        classes = dataset.metainfo.get('classes') or list(names.values())
        sizes = {
            image['id']: (int(image['width']), int(image['height']))
            for image in content['images']
            if all(type(image[side]) in (int, float) and image[side] >= 1 for side in ('width', 'height'))
        }
        ids = {number for number, name in names.items() if name in classes}
        objects = [each for each in content['annotations'] if each['image_id'] in sizes and each['category_id'] in ids]
        has_masks = any(step.get('with_mask') for step in iter_steps(settings))
        found = check_entries(content, sizes, classes, is_scored), check_objects(objects, sizes, has_masks, is_scored)
        for issue, examples in chain(*found):
            report.add(issue, place, examples)
        counts = Counter(names[each['category_id']] for each in objects)
        text = ', '.join(f'{counts[name]} {name}' for name in classes)
        report.summaries.append(f'{place}: {len(content["images"])} images; objects: {text}')
        # As mmdet joins them.
        folder = dataset.data_prefix.get('img', '')
        paths = {image['id']: os.path.join(folder, image['file_name']) for image in content['images']}  # noqa: PTH118
    # A list where COCO has a number, a number where it has an object, and so on.
    except (TypeError, AttributeError, ArithmeticError) as error:
        report.add(NOT_COCO, place, [get_first_line(error)])
        return []
    missing = find_missing(place, paths.values(), report)
    return [ImageFile(paths[number], size) for number, size in sizes.items() if paths[number] not in missing]


def check_entries(
    content: dict[str, list[Entry]], sizes: Mapping[Any, tuple[int, int]], classes: Sequence[str], is_scored: bool
) -> Found:
    """Check ids, the order of the categories, the sizes of images, and references between entries."""
    for name, key in [*((name, 'id') for name in KEYS), ('categories', 'name')]:
        counts = Counter(entry[key] for entry in content[name])
        if is_scored and name == 'annotations':
            counts[0] *= 2  # pycocotools takes an object of id 0 that was found for one that was not
        yield DUPLICATE_IDS, [f'{name} {key} {value}' for value, number in counts.items() if number > 1]
    names = [category['name'] for category in content['categories']]
    used = [name for name in names if name in classes]
    if used != [*classes] and len({*used}) == len(used):
        yield OTHER_CATEGORIES, [f'the file has {shorten(names, 20)}, the config {shorten(classes, 20)}']
    wrong = [image for image in content['images'] if image['id'] not in sizes]
    yield NO_SIZE, [f'{image["file_name"]} {image["width"]} x {image["height"]}' for image in wrong]
    for name, key in (('images', 'image_id'), ('categories', 'category_id')):
        known = {entry['id'] for entry in content[name]}
        unknown = [each for each in content['annotations'] if each[key] not in known]
        yield NOT_LISTED, [f'annotation {each["id"]} {key} {each[key]}' for each in unknown]


def check_objects(
    objects: Sequence[Entry], sizes: Mapping[Any, tuple[int, int]], has_masks: bool, is_scored: bool
) -> Found:
    """Check boxes, and masks of the objects that mmdet loads; a training set needs an object."""
    images = np.array([sizes[each['image_id']] for each in objects], float).reshape(-1, 2)
    start, extent = np.hsplit(to_floats([each['bbox'] for each in objects], 4), 2)
    area = to_floats([[each['area']] for each in objects], 1)[:, 0]
    end = start + extent
    is_finite = np.isfinite(np.column_stack([end, area])).all(1)
    is_degenerate = (area <= 0) | ((extent < 1) | (end <= 0) | (start >= images)).any(1)
    for issue, has_it in ((NOT_FINITE, ~is_finite), (NO_AREA, is_finite & is_degenerate)):
        wrong = [objects[i] for i in np.flatnonzero(has_it)]
        yield issue, [f'annotation {each["id"]} bbox {each["bbox"]}' for each in wrong]
    loaded = [objects[i] for i in np.flatnonzero(is_finite & ~is_degenerate) if not objects[i].get('ignore')]
    if not is_scored and all(each.get('iscrowd') for each in loaded):
        yield NO_OBJECTS, None
    if has_masks:
        used = objects if is_scored else loaded
        wrong = [each for each in used if not is_mask(each.get('segmentation'), *sizes[each['image_id']])]
        yield WRONG_MASKS, [f'annotation {each["id"]}' for each in wrong]


def to_floats(rows: Sequence[Any], width: int) -> NDArray[np.float64]:
    """Convert rows of ``width`` numbers to an array (rows, width); malformed rows become NaN."""
    is_right = [
        isinstance(row, list) and [type(each) in (int, float) for each in row] == [True] * width for row in rows
    ]
    right = [row if is_one else [np.nan] * width for row, is_one in zip(rows, is_right, strict=True)]
    return np.array(right, float).reshape(-1, width)


def is_mask(mask: Any, width: int, height: int) -> bool:
    """Whether a segmentation is polygons of finite numbers, or RLE of the image's size."""
    if isinstance(mask, dict):
        counts = mask.get('counts')
        is_whole = isinstance(counts, str) or (bool(counts) and sum(counts) == height * width)
        return mask.get('size') == [height, width] and is_whole
    are_lists = isinstance(mask, list) and all(isinstance(each, list) for each in mask)
    return are_lists and bool(mask) and isfinite(sum(chain(*mask)))
