"""Check annotation files in COCO's format."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from ...errors import first_line
from .images import ImageFile, find_missing, problem_of
from .report import Issue, Report
from .sources import steps_of

Entry = Mapping[str, Any]

INVALID_JSON = Issue('is not valid JSON in UTF-8', 'export it again; CSV, XML and text files are other formats')
NO_COCO = Issue("is not an annotation file in COCO's format", 'it must hold lists of images, annotations, categories')
LACKING = Issue('entries that lack a key', 'add what is missing')
OTHER_TYPES = Issue("values of other types than in COCO's format", 'export it again')
USED_TWICE = Issue('ids that are used twice', 'give each entry an id of its own')
ID_ZERO = Issue(
    'annotations of id 0 in a set that is scored',
    'number annotations from 1: pycocotools takes an object of id 0 that was found for one that was not',
)
NO_CATEGORY = Issue('has no category of the name of a class', 'spell classes and categories alike')
OTHER_ORDER = Issue(
    'categories in another order than the classes of the config',
    "sort the config's classes as the file's categories: mmdet numbers labels by the file, and would swap names",
)
NO_SIZE = Issue('images without a width and height above zero', 'write both in pixels, as whole numbers')
NO_IMAGE = Issue('annotations of images that the file does not list', 'list them under images', stops=False)
NOT_LISTED = Issue('annotations of categories that the file does not list', 'list them under categories')
NO_CLASS = Issue('annotations of categories that are no classes of the config', 'add these to the classes', stops=False)
NOTHING = Issue('nothing to train on', 'no annotation is left of what the config asks for')
NO_NUMBERS = Issue('boxes or areas that are not finite numbers', 'write bbox as [x, y, width, height], in pixels')
NO_AREA = Issue(
    'boxes under a pixel in width or height, outside of the image or of area zero',
    'training leaves them out, scores count them',
    stops=False,
)
NO_MASK = Issue(
    'annotations without a mask (segmentation), which the config loads',
    'with boxes only, start from configs/custom_coco_boxonly.py',
)
NO_POLYGONS = Issue(
    'masks that are neither polygons nor RLE',
    'write [[x1, y1, x2, y2, x3, y3, ...], ...], or {"size": [height, width], "counts": ...}',
)
BROKEN_RLE = Issue("RLE masks that are not of the image's height and width", 'encode these masks again')

# What mmdet reads of each entry.
KEYS = {
    'images': {'id', 'file_name', 'height', 'width'},
    'annotations': {'id', 'image_id', 'category_id', 'bbox', 'area'},
    'categories': {'id', 'name'},
}


def read_json(path: str, report: Report) -> Any:
    """The content of a JSON file; None, reported, where it cannot be read."""
    issue = problem_of(path)
    if issue is not None:
        report.add(issue, path)
        return None
    try:
        return json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        report.add(INVALID_JSON, path, [first_line(error)])
        return None


def select_entries(place: str, content: Any, is_scored: bool, report: Report) -> dict[str, list[Entry]] | None:
    """Images, annotations and categories; None, reported, where some are missing or lack a key."""
    content = content if isinstance(content, dict) else {}
    missing = [name for name in KEYS if not isinstance(content.get(name), list)]
    if is_scored and missing == ['annotations']:
        report.notes.append(f'{place} has no annotations: there is nothing to score against')
        return {**content, 'annotations': []}
    if missing:
        report.add(NO_COCO, place, [f'no {name}' for name in missing])
        return None
    lacking = []
    for name, keys in KEYS.items():
        # pycocotools reads it of all annotations.
        keys = keys | {'iscrowd'} if is_scored and name == 'annotations' else keys
        for number, entry in enumerate(content[name]):
            if not keys <= entry.keys():
                absent = ' and '.join(map(repr, sorted(keys - entry.keys())))
                lacking.append(f'{name}[{number}] (id {entry.get("id")}) has no {absent}')
    report.add(LACKING, place, lacking)
    return None if lacking else content


def check_coco(
    dataset: BaseDataset, settings: ConfigDict, content: Any, is_scored: bool, report: Report
) -> list[ImageFile]:
    """Report what is wrong with the annotations of a CocoDataset, and the objects of each class; its images."""
    place, classes = dataset.ann_file, dataset.metainfo.get('classes')
    try:
        content = None if content is None else select_entries(place, content, is_scored, report)
        if content is None:
            return []
        check_ids(place, content, is_scored, report)
        check_categories(place, content['categories'], classes, report)
        sizes = check_sizes(place, content['images'], report)
        names = {category['id']: category['name'] for category in content['categories']}
        annotations = check_references(place, content, sizes, classes or names.values(), report)
        check_objects(place, annotations, sizes, settings, is_scored, report)
    # A list where COCO has a number, a number where it has an object, and so on.
    except (TypeError, AttributeError, ArithmeticError) as error:
        report.add(OTHER_TYPES, place, [first_line(error)])
        return []
    folder = dataset.data_prefix.get('img', '')
    # As mmdet joins them.
    paths = {image['id']: os.path.join(folder, image['file_name']) for image in content['images']}  # noqa: PTH118
    missing = find_missing(place, paths.values(), report)
    counts = Counter(names[each['category_id']] for each in annotations)
    objects = ', '.join(f'{counts[name]} {name}' for name in classes or names.values())
    report.summaries.append(f'{place}: {len(paths)} images; objects: {objects}')
    return [ImageFile(paths[number], size) for number, size in sizes.items() if paths[number] not in missing]


def check_ids(place: str, content: Mapping[str, list[Entry]], is_scored: bool, report: Report) -> None:
    """Report ids and names of categories that are used twice, and ids that pycocotools cannot score."""
    for name, key in [*((name, 'id') for name in KEYS), ('categories', 'name')]:
        counts = Counter(entry[key] for entry in content[name])
        report.add(USED_TWICE, place, [f'{name} {key} {value}' for value, number in counts.items() if number > 1])
    if is_scored:
        zeros = [entry for entry in content['annotations'] if entry['id'] == 0]
        report.add(ID_ZERO, place, [f'annotations id {entry["id"]}' for entry in zeros])


def check_categories(place: str, categories: list[Entry], classes: Sequence[str] | None, report: Report) -> None:
    """Compare the names of the categories with the classes of a config: mmdet numbers labels by the file's order."""
    names = [category['name'] for category in categories]
    absent = [name for name in classes or () if name not in names]
    has = f'{", ".join(map(repr, names[:20]))}{", ..." if len(names) > 20 else ""}'
    report.add(NO_CATEGORY, place, [f'{", ".join(map(repr, absent))}: it has {has}'] if absent else [])
    common = [name for name in names if name in (classes or ())]
    # Names that are used twice are reported as such.
    if not absent and len(common) == len(classes or ()):
        swapped = [(name, called) for name, called in zip(common, classes or (), strict=True) if name != called]
        report.add(OTHER_ORDER, place, [f'{name!r} would be called {called!r}' for name, called in swapped])


def check_sizes(place: str, images: list[Entry], report: Report) -> dict[Any, tuple[int, int]]:
    """Report images without a width and height; of the others both, by the ids of the images."""
    sizes = {image['id']: (image['width'], image['height']) for image in images}
    wrong = {number for number, size in sizes.items() if not all(type(n) in (int, float) and n >= 1 for n in size)}
    report.add(NO_SIZE, place, [f'{i["file_name"]} {i["width"]} x {i["height"]}' for i in images if i['id'] in wrong])
    return {number: (int(w), int(h)) for number, (w, h) in sizes.items() if number not in wrong}


def check_references(
    place: str,
    content: Mapping[str, list[Entry]],
    sizes: Mapping[Any, tuple[int, int]],
    classes: Iterable[str],
    report: Report,
) -> list[Entry]:
    """Report annotations of unknown images or categories; the annotations of classes in images with a size."""
    classes, images = frozenset(classes), {image['id'] for image in content['images']}
    names = {category['id']: category['name'] for category in content['categories']}
    found: dict[Issue | None, list[Entry]] = defaultdict(list)
    for each in content['annotations']:
        is_class = names.get(each['category_id']) in classes
        issue = NO_IMAGE if each['image_id'] not in images else NOT_LISTED if each['category_id'] not in names else None
        found[issue or (None if is_class else NO_CLASS)].append(each)
    for issue, key in ((NO_IMAGE, 'image_id'), (NOT_LISTED, 'category_id'), (NO_CLASS, 'category_id')):
        report.add(issue, place, [f'annotation {each["id"]} {key} {each[key]}' for each in found[issue]])
    return [each for each in found[None] if each['image_id'] in sizes]


def check_objects(
    place: str,
    annotations: list[Entry],
    sizes: Mapping[Any, tuple[int, int]],
    settings: ConfigDict,
    is_scored: bool,
    report: Report,
) -> None:
    """Report boxes and masks that are wrong, and a training set without objects."""
    images = np.array([sizes[each['image_id']] for each in annotations], float).reshape(-1, 2)
    start, extent = np.hsplit(to_floats([each['bbox'] for each in annotations], 4), 2)
    area = to_floats([[each['area']] for each in annotations], 1)[:, 0]
    end = start + extent
    is_number = np.isfinite(np.column_stack([end, area])).all(1)
    is_degenerate = (area <= 0) | ((extent < 1) | (end <= 0) | (start >= images)).any(1)
    is_sound = is_number & ~is_degenerate
    for issue, has_it in ((NO_NUMBERS, ~is_number), (NO_AREA, is_number & is_degenerate)):
        wrong = [annotations[i] for i in np.flatnonzero(has_it)]
        report.add(issue, place, [f'annotation {each["id"]} bbox {each["bbox"]}' for each in wrong])
    is_used = is_sound & [not each.get('ignore') for each in annotations]
    # Crowds are not learned.
    if not is_scored and not (is_used & [not each.get('iscrowd') for each in annotations]).any():
        report.add(NOTHING, place)
    if not any(step.get('with_mask') for step in steps_of(settings)):
        return
    found: dict[Issue, list[str]] = {}
    for i in np.flatnonzero(is_used | is_scored):
        issue = find_mask_issue(annotations[i].get('segmentation'), *sizes[annotations[i]['image_id']])
        found.setdefault(issue, []).append(f'annotation {annotations[i]["id"]}')
    found.pop(None, None)
    for issue, texts in found.items():
        report.add(issue, place, texts)


def to_floats(rows: Sequence[Any], width: int) -> NDArray[np.float64]:
    """Rows of so many numbers as an array, (rows, width); NaN in each row that is something else."""

    def is_right(row: Any) -> bool:
        return isinstance(row, list) and len(row) == width and all(type(each) in (int, float) for each in row)

    return np.array([row if is_right(row) else [np.nan] * width for row in rows], float).reshape(-1, width)


def find_mask_issue(mask: Any, width: int, height: int) -> Issue | None:
    """What is wrong with a segmentation, if anything."""
    if not mask:
        return NO_MASK
    if isinstance(mask, dict):
        return None if is_valid_rle(mask, height, width) else BROKEN_RLE
    if not isinstance(mask, list) or not all(isinstance(each, list) for each in mask):
        return NO_POLYGONS
    return None if isfinite(sum(chain(*mask))) else NO_POLYGONS


def is_valid_rle(mask: Entry, height: int, width: int) -> bool:
    """Whether RLE, as a list or compressed, is of an image's size and adds up to all of its pixels."""
    counts = mask.get('counts')
    counts = decompress(counts) if isinstance(counts, str) else counts
    if mask.get('size') != [height, width] or not isinstance(counts, list):
        return False
    return all(isinstance(count, int) and count >= 0 for count in counts) and sum(counts) == height * width


def decompress(text: str) -> list[int] | None:
    """The run lengths of compressed RLE; None where it is invalid.

    Written after COCO's ``maskApi.h``: from the fourth on each number is the difference from the length two before.
    pycocotools does not validate: it decodes '' and '~~~~' into uninitialised memory.
    """
    lengths, length, bits = [], 0, 0
    for character in text.encode():
        # 48 plus six bits: five of a number, the lowest first, and one that says whether more follow; 30 bits at most.
        code = character - 48
        if not 0 <= code < 64 or bits > 25:
            return None
        length |= (code & 31) << bits
        bits += 5
        if not code & 32:
            length -= (code & 16) << (bits - 4)  # the sign
            lengths.append(length + (lengths[-2] if len(lengths) > 2 else 0))
            length, bits = 0, 0
    return lengths if lengths and not bits else None
