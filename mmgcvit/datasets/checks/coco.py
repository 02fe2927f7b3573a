"""Apply the rules to a config's dataset in COCO's format."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset

from ...config import iter_transforms
from ...errors import format_count, get_first_line, shorten
from ..records import Entry
from ..rules.coco import (
    NO_OBJECTS,
    NOT_COCO,
    UNLISTED,
    find_content_problems,
    find_missing_keys,
    list_sizes,
    read_json,
)
from ..rules.copies import find_repeated_objects
from ..rules.objects import FEW_POINTS, find_object_faults
from ..rules.rule import Effect, Issue, Report, are_too_many, make_issues
from .images import ImageFile, report_missing

Content = Mapping[str, Sequence[Entry]]


def check_coco(
    dataset: BaseDataset, settings: ConfigDict, is_scored: bool, assigners: str
) -> tuple[list[ImageFile], Report]:
    """Check and count the annotations of a CocoDataset.

    Args:
        dataset: The dataset, whose annotations need not be loaded.
        settings: Its config.
        is_scored: Whether it is for validation or test.
        assigners: The assigners of the model that take ignored objects for background.

    Returns:
        Its images whose file exists and whose size is valid, and a report.
    """
    path, notes = dataset.ann_file, []
    content, problem = read_json(Path(path))
    if is_scored and isinstance(content, dict) and 'annotations' not in content:
        notes.append(f'{path} has no annotations, so predictions on its images cannot be scored')
        content = {**content, 'annotations': []}
    missing = [problem] if problem else find_missing_keys(content, is_scored)
    if missing:
        return [], Report([Issue(NOT_COCO, path, missing)], notes)
    try:
        report = Report(notes=notes) + check_annotations(
            dataset, settings, content, is_scored, assigners
        )
        images = list_images(dataset, content)
    # These errors mean that a value has another type than in COCO's format, for example an id that
    # is a list.
    except (TypeError, AttributeError, ArithmeticError) as error:
        return [], Report([Issue(NOT_COCO, path, [get_first_line(error)])], notes)
    existing, absent = report_missing(path, images)
    return existing, report + absent


def list_images(dataset: BaseDataset, content: Content) -> list[ImageFile]:
    """Return the images that a file lists with a valid size."""
    folder = dataset.data_prefix.get('img', '')
    sizes = list_sizes(content['images'])
    return [
        # Join the paths with os.path, as mmdet does.
        ImageFile(os.path.join(folder, image['file_name']), sizes[image['id']])  # noqa: PTH118
        for image in content['images']
        if image['id'] in sizes
    ]


def check_annotations(
    dataset: BaseDataset, settings: ConfigDict, content: Content, is_scored: bool, assigners: str
) -> Report:
    """Check the content of a COCO file, and count the objects of each class."""
    path = dataset.ann_file
    names = {category['id']: category['name'] for category in content['categories']}
    classes = dataset.metainfo.get('classes') or list(names.values())
    sizes = list_sizes(content['images'])
    objects = [
        entry
        for entry in content['annotations']
        if entry['image_id'] in sizes and names.get(entry['category_id']) in classes
    ]
    files = {image['id']: image['file_name'] for image in content['images']}
    own_files = [files[entry['image_id']] for entry in objects]
    with_masks = any(transform.get('with_mask') for transform in iter_transforms(settings))
    issues = []
    for issue in make_issues(find_content_problems(content, classes, is_scored), path):
        are_many = are_too_many(len(issue.examples), len(content['annotations']))
        stops_run = are_many if issue.rule == UNLISTED else issue.rule.in_config == Effect.STOPS
        issues.append(issue._replace(stops_run=stops_run))
    own_sizes = [sizes[entry['image_id']] for entry in objects]
    issues += find_object_issues(path, objects, own_sizes, own_files, with_masks, is_scored)
    counts = Counter(names[entry['category_id']] for entry in objects if not entry.get('iscrowd'))
    text = ', '.join(f'{counts[name]} {name}' for name in classes)
    num_ignored = len(objects) - counts.total()
    notes = []
    if num_ignored:
        text += f'; {num_ignored} ignored'
    if num_ignored and assigners and not is_scored:
        notes.append(
            f'{path}: training takes ignored objects for background, because of {assigners}'
        )
    repeated = sorted(find_repeated_objects(objects, with_masks))
    if repeated:
        in_files = shorten([own_files[index] for index in repeated])
        count = format_count(len(repeated), 'object')
        notes.append(f'{path} repeats {count} (in {in_files}). Remove the copies')
    return Report(issues, notes, [f'{path}: {len(content["images"])} images; objects: {text}'])


def find_object_issues(
    path: str,
    objects: Sequence[Entry],
    sizes: Sequence[tuple[int, int]],
    files: Sequence[str],
    with_masks: bool,
    is_scored: bool,
) -> list[Issue]:
    """Return issues of boxes, areas and masks, and of training without any object."""
    rules, look = find_object_faults(objects, sizes, with_masks)
    problems, num_trained = {}, 0
    for entry, rule, file in zip(objects, rules, files, strict=True):
        if rule:
            example = f'annotation {entry["id"]} of {file}, bbox {entry["bbox"]!s:.80}'
            problems.setdefault(rule, []).append(example)
        elif not entry.get('ignore') and not entry.get('iscrowd'):
            num_trained += 1
    are_many = are_too_many(sum(map(len, problems.values())), len(objects))
    hint = ': training ignores or cuts most of them, but evaluation counts them'
    if are_many:
        hint = '. With other faults they are more than a tenth of the objects'
    if are_many and look:
        hint += f', and look like {look}'
    issues = []
    for issue in make_issues(problems, path):
        is_scored_polygon = issue.rule == FEW_POINTS and is_scored
        stops_run = are_many or is_scored_polygon or issue.rule.in_config == Effect.STOPS
        issues.append(issue._replace(hint=hint, stops_run=stops_run))
    if not is_scored and num_trained == 0:
        issues.append(Issue(NO_OBJECTS, path))
    return issues
