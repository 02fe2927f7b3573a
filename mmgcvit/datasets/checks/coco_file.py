"""Check annotation files in COCO's format."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset

from ...config import iter_transforms
from ...errors import MANY, format_count, get_first_line, shorten
from ..formats.cleaning import group_objects
from ..formats.plausible import (
    FEW_POINTS,
    MAX_ID,
    NO_MASK,
    NOT_FINITE,
    are_numbers,
    are_too_many,
    find_faults,
)
from .image_files import ImageFile, Issue, Report, find_missing

Entry = Mapping[str, Any]
IssueExamples = Iterator[tuple[Issue, list[str] | None]]

NOT_COCO = Issue(
    "is not an annotation file in COCO's format",
    'Export its images, annotations and categories again',
)
DUPLICATE_IDS = Issue(
    'repeated ids or category names, or ids that pycocotools cannot store', 'Use ids from 1 on'
)
OTHER_CATEGORIES = Issue(
    'categories in another order than the classes of the config, or with other names',
    'Copy their names and order',
)
NO_SIZE = Issue('images without a positive width and height', 'Write both in pixels, as integers')
NOT_LISTED = Issue(
    'annotations of images or categories that the file does not list',
    'List them too',
    stops_run=False,
)
NO_OBJECTS = Issue(
    'nothing to train on', "Change the config's classes, or label objects whose iscrowd is 0"
)
WRONG_CROWD = Issue('values of iscrowd other than 0 and 1', 'Write 0, or 1 for groups of objects')
# Remedies for wrong boxes and masks.
SOME_FAULTS = (
    'Correct or remove them: training ignores or cuts most of them, but evaluation counts them'
)
MANY_FAULTS = 'These are more than a tenth of the objects, with those of other faults{}. Export the file again'
UNIGNORED = Issue(
    "objects with the key 'ignore'", 'Write iscrowd: 1, or evaluation counts them', stops_run=False
)

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


def check_content(
    path: str, content: Any, is_scored: bool, report: Report
) -> dict[str, list[Entry]] | None:
    """Return the content of a COCO file, to which annotations are added if it is scored, or None
    with an issue.
    """
    content = content if isinstance(content, dict) else {}
    if is_scored and 'annotations' not in content:
        report.notes.append(
            f'{path} has no annotations, so predictions on its images cannot be scored'
        )
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
    dataset: BaseDataset,
    settings: ConfigDict,
    content: Any,
    is_scored: bool,
    report: Report,
    assigners: str = '',
) -> list[ImageFile]:
    """Check and count the annotations of a CocoDataset.

    Return its images whose file exists and whose size is valid.
    """
    path = dataset.ann_file
    try:
        if content is None or (content := check_content(path, content, is_scored, report)) is None:
            return []
        names = {category['id']: category['name'] for category in content['categories']}
        classes = dataset.metainfo.get('classes') or list(names.values())
        pairs = {image['id']: [image['width'], image['height']] for image in content['images']}
        sizes = {
            key: tuple(map(int, pair))
            for key, pair in pairs.items()
            if are_numbers(pair) and min(pair) >= 1
        }
        used_ids = {category_id for category_id, name in names.items() if name in classes}
        objects = [
            obj
            for obj in content['annotations']
            if obj['image_id'] in sizes and obj['category_id'] in used_ids
        ]
        has_masks = any(transform.get('with_mask') for transform in iter_transforms(settings))
        file_names = {image['id']: image['file_name'] for image in content['images']}
        places = ([values[obj['image_id']] for obj in objects] for values in (sizes, file_names))
        object_issues = check_objects(objects, *places, has_masks, is_scored)
        for issue, examples in chain(
            check_entries(content, sizes, classes, is_scored), object_issues
        ):
            report.add(issue, path, examples)
        counts = Counter(names[obj['category_id']] for obj in objects if not obj.get('iscrowd'))
        text = ', '.join(f'{counts[name]} {name}' for name in classes)
        if num_ignored := len(objects) - counts.total():
            text += f'; {num_ignored} ignored'
            if assigners and not is_scored:  # those that take ignored objects for background
                report.notes.append(
                    f'{path}: training takes ignored objects for background, because of {assigners}'
                )
        report.summaries.append(f'{path}: {len(content["images"])} images; objects: {text}')
        _, copies = group_objects(objects, has_masks)
        if copies:
            files = shorten([file_names[objects[i]['image_id']] for i in sorted(copies)])
            report.notes.append(
                f'{path} repeats {format_count(len(copies), "object")} (in {files}). Remove the '
                'copies'
            )
        # Join the paths with os.path, as mmdet does.
        folder = dataset.data_prefix.get('img', '')
        paths = {image_id: os.path.join(folder, name) for image_id, name in file_names.items()}  # noqa: PTH118
    # These errors mean that a value has another type than in COCO's format, for example an id that
    # is a list.
    except (TypeError, AttributeError, ArithmeticError) as error:
        report.add(NOT_COCO, path, [get_first_line(error)])
        return []
    missing = find_missing(path, paths.values(), report)
    return [
        ImageFile(paths[image_id], size)
        for image_id, size in sizes.items()
        if paths[image_id] not in missing
    ]


def check_entries(
    content: dict[str, list[Entry]],
    sizes: Mapping[Any, tuple[int, int]],
    classes: Sequence[str],
    is_scored: bool,
) -> IssueExamples:
    """Yield issues of ids, of the categories' order, of image sizes, and of ids that refer to
    missing entries.
    """
    for name, key in [*((name, 'id') for name in KEYS), ('categories', 'name')]:
        counts = Counter(entry[key] for entry in content[name])
        # pycocotools reads id 0 of an annotation as "no match", stores these ids as floats, and
        # sorts others as int64.
        valid = range(1, MAX_ID) if name == 'annotations' else range(-(2**63), 2**63)
        invalid = {
            v
            for v in counts
            if (v not in valid if type(v) is int else name == 'annotations') and is_scored
        }
        wrong = [value for value, number in counts.items() if number > 1 or value in invalid]
        yield DUPLICATE_IDS, [f'{name} {key} {str(value)[:60]}' for value in wrong]
    crowds = [obj for obj in content['annotations'] if obj.get('iscrowd', 0) not in (0, 1)]
    yield WRONG_CROWD, [f'annotation {obj["id"]} iscrowd {obj["iscrowd"]!r:.60}' for obj in crowds]
    yield (
        UNIGNORED,
        [f'annotation {obj["id"]}' for obj in content['annotations'] if obj.get('ignore')],
    )
    names = [category['name'] for category in content['categories']]
    used = [name for name in names if name in classes]
    if used != [*classes] and len({*used}) == len(used):
        yield (
            OTHER_CATEGORIES,
            [f'the file has {shorten(names, MANY)}, the config {shorten(classes, MANY)}'],
        )
    no_size = [image for image in content['images'] if image['id'] not in sizes]
    yield (
        NO_SIZE,
        [f'{image["file_name"]} {image["width"]} x {image["height"]}' for image in no_size],
    )
    for name, key in (('images', 'image_id'), ('categories', 'category_id')):
        listed_ids = {entry['id'] for entry in content[name]}
        unlisted = [obj for obj in content['annotations'] if obj[key] not in listed_ids]
        issue = replace(
            NOT_LISTED, stops_run=are_too_many(len(unlisted), len(content['annotations']))
        )
        yield issue, [f'annotation {obj["id"]} {key} {obj[key]}' for obj in unlisted]


def check_objects(
    objects: Sequence[Entry],
    sizes: Sequence[tuple[int, int]],
    files: Sequence[str],
    has_masks: bool,
    is_scored: bool,
) -> IssueExamples:
    """Yield issues of boxes and areas, of masks if the config loads them, and of training without
    any object.
    """
    faults, cause = find_faults(objects, sizes, has_masks)
    are_many = are_too_many(sum(map(bool, faults)), len(objects))
    remedy = MANY_FAULTS.format(cause and f'. They look like {cause}') if are_many else SOME_FAULTS
    for fault in dict.fromkeys(filter(None, faults)):
        stops_run = (
            are_many or fault in (NOT_FINITE, NO_MASK) or (fault == FEW_POINTS and is_scored)
        )
        affected = [
            (obj, file) for obj, file, f in zip(objects, files, faults, strict=True) if f == fault
        ]
        examples = [
            f'annotation {obj["id"]} of {file}, bbox {obj["bbox"]!s:.80}' for obj, file in affected
        ]
        yield Issue(fault, remedy, stops_run), examples
    loaded = [
        obj
        for obj, fault in zip(objects, faults, strict=True)
        if not fault and not obj.get('ignore')
    ]
    if not is_scored and all(obj.get('iscrowd') for obj in loaded):
        yield NO_OBJECTS, None
