"""Check annotation files in COCO's format."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
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
    try:
        content = None if content is None else select_entries(dataset.ann_file, content, is_scored, report)
        return [] if content is None else CocoCheck(dataset, settings, content, is_scored, report).run()
    # A list where COCO has a number, a number where it has an object, and so on.
    except (TypeError, AttributeError, ArithmeticError) as error:
        report.add(OTHER_TYPES, dataset.ann_file, [first_line(error)])
        return []


class CocoCheck:
    """The checks of an annotation file whose entries have all keys."""

    def __init__(
        self,
        dataset: BaseDataset,
        settings: ConfigDict,
        content: dict[str, list[Entry]],
        is_scored: bool,
        report: Report,
    ) -> None:
        self.place, self.folder = dataset.ann_file, dataset.data_prefix.get('img', '')
        self.images, self.annotations, self.categories = (content[name] for name in KEYS)
        self.names = {category['id']: category['name'] for category in self.categories}
        self.classes = dataset.metainfo.get('classes') or list(self.names.values())
        self.has_masks = any(step.get('with_mask') for step in steps_of(settings))
        self.is_scored, self.report = is_scored, report

    def add(self, issue: Issue, examples: Sequence[str]) -> None:
        """Report entries that have an issue."""
        self.report.add(issue, self.place, examples)

    def run(self) -> list[ImageFile]:
        """Check all; the images that are there and have a size."""
        self.check_ids()
        self.check_categories()
        sizes = self.check_sizes()
        objects = self.check_references(sizes)
        is_used = self.check_boxes(objects, sizes)
        if self.has_masks:
            self.check_masks([each for each, is_one in zip(objects, is_used, strict=True) if is_one], sizes)
        counts = Counter(self.names[each['category_id']] for each in objects)
        text = ', '.join(f'{counts[name]} {name}' for name in self.classes)
        self.report.summaries.append(f'{self.place}: {len(self.images)} images; objects: {text}')
        # As mmdet joins them.
        paths = {image['id']: os.path.join(self.folder, image['file_name']) for image in self.images}  # noqa: PTH118
        missing = find_missing(self.place, paths.values(), self.report)
        return [ImageFile(paths[number], size) for number, size in sizes.items() if paths[number] not in missing]

    def check_ids(self) -> None:
        """Report ids and names of categories that are used twice, and ids that pycocotools cannot score."""
        for name, key in [*((name, 'id') for name in KEYS), ('categories', 'name')]:
            counts = Counter(entry[key] for entry in getattr(self, name))
            self.add(USED_TWICE, [f'{name} {key} {value}' for value, number in counts.items() if number > 1])
        if self.is_scored:
            self.add(ID_ZERO, [f'annotations id {each["id"]}' for each in self.annotations if each['id'] == 0])

    def check_categories(self) -> None:
        """Compare the categories with the classes of the config: mmdet numbers labels by the file's order."""
        names = [category['name'] for category in self.categories]
        absent = [repr(name) for name in self.classes if name not in names]
        has = f'it has {", ".join(map(repr, names[:20]))}{", ..." if len(names) > 20 else ""}'
        self.add(NO_CATEGORY, [f'{", ".join(absent)}: {has}'] if absent else [])
        common = [name for name in names if name in self.classes]
        # Of different lengths where names are missing or used twice, which is reported as such.
        pairs = zip(common, self.classes, strict=False) if len(common) == len(self.classes) else []
        self.add(OTHER_ORDER, [f'{name!r} would be called {called!r}' for name, called in pairs if name != called])

    def check_sizes(self) -> dict[Any, tuple[int, int]]:
        """Report images without a width and height; of the others both, by the ids of the images."""
        sizes = {image['id']: (image['width'], image['height']) for image in self.images}
        right = {number for number, size in sizes.items() if all(type(n) in (int, float) and n >= 1 for n in size)}
        wrong = [image for image in self.images if image['id'] not in right]
        self.add(NO_SIZE, [f'{image["file_name"]} {image["width"]} x {image["height"]}' for image in wrong])
        return {number: (int(sizes[number][0]), int(sizes[number][1])) for number in sizes if number in right}

    def check_references(self, sizes: Mapping[Any, tuple[int, int]]) -> list[Entry]:
        """Report annotations of unknown images or categories; the annotations of classes in images with a size."""
        images = {image['id'] for image in self.images}
        for issue, key, known in ((NO_IMAGE, 'image_id', images), (NOT_LISTED, 'category_id', self.names)):
            unknown = [each for each in self.annotations if each[key] not in known]
            self.add(issue, [f'annotation {each["id"]} {key} {each[key]}' for each in unknown])
        ids = {number for number, name in self.names.items() if name in self.classes}
        return [each for each in self.annotations if each['image_id'] in sizes and each['category_id'] in ids]

    def check_boxes(self, objects: list[Entry], sizes: Mapping[Any, tuple[int, int]]) -> NDArray[np.bool_]:
        """Report boxes that are wrong, and a training set without objects; which masks are read, (objects,)."""
        images = np.array([sizes[each['image_id']] for each in objects], float).reshape(-1, 2)
        start, extent = np.hsplit(to_floats([each['bbox'] for each in objects], 4), 2)
        area = to_floats([[each['area']] for each in objects], 1)[:, 0]
        end = start + extent
        is_number = np.isfinite(np.column_stack([end, area])).all(1)
        is_degenerate = (area <= 0) | ((extent < 1) | (end <= 0) | (start >= images)).any(1)
        for issue, has_it in ((NO_NUMBERS, ~is_number), (NO_AREA, is_number & is_degenerate)):
            wrong = [objects[i] for i in np.flatnonzero(has_it)]
            self.add(issue, [f'annotation {each["id"]} bbox {each["bbox"]}' for each in wrong])
        is_ignored, is_crowd = (
            np.array([bool(each.get(key)) for each in objects], bool) for key in ('ignore', 'iscrowd')
        )
        is_read = is_number & ~is_degenerate & ~is_ignored
        # Crowds are not learned.
        if not self.is_scored and not (is_read & ~is_crowd).any():
            self.report.add(NOTHING, self.place)
        return is_read | self.is_scored

    def check_masks(self, objects: list[Entry], sizes: Mapping[Any, tuple[int, int]]) -> None:
        """Report masks that cannot be read, or are of another size than the image."""
        issues = [find_mask_issue(each.get('segmentation'), *sizes[each['image_id']]) for each in objects]
        for issue in (NO_MASK, NO_POLYGONS, BROKEN_RLE):
            wrong = [each for each, found in zip(objects, issues, strict=True) if found is issue]
            self.add(issue, [f'annotation {each["id"]}' for each in wrong])


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
    """Whether RLE is of an image's size, and as a list adds up to all of its pixels; a text is left to pycocotools."""
    counts = mask.get('counts')
    if mask.get('size') != [height, width] or not counts:
        return False
    return isinstance(counts, str) or sum(counts) == height * width
