"""Apply the rules to a dataset that a reader has read: leave out what breaks them, and say so."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...errors import MANY, UserError, escape_controls
from ..decoding import read_sizes
from ..reading import read_each
from ..records import DatasetInfo, ObjectSplit, Split
from .classes import check_class_names
from .copies import leave_out_copies
from .images import find_image_faults
from .objects import MIN_CUT, are_inside, find_object_faults, get_corners
from .rule import Fault, Issue, Rule, are_too_many, count_by_unit, group_faults

ROTATED_BOXES = Rule(
    'images annotated with their size before the EXIF rotation, but with boxes after it',
    'Export them again, or remove the rotation',
)


def judge(dataset: DatasetInfo, problems: Sequence[Issue], box_format: str) -> DatasetInfo:
    """Return a dataset without images and objects that break a rule. Notes count and name them.

    Copies are looked for among readable images, since unreadable ones may all be the same page of
    an error.

    Args:
        dataset: A dataset as a reader has read it.
        problems: What the reader could not parse.
        box_format: How the dataset's format writes boxes.

    Raises:
        UserError: More than a tenth of the images or of the objects break a rule, or a split has no
            image or no object left.
    """
    check_class_names(dataset.folder, dataset.classes)
    has_objects = {name for name, split in dataset.splits.items() if split.objects}
    issues, totals = list(problems), Counter()
    for issue in problems:
        totals[issue.rule.unit] += len(issue.examples)
    for split in dataset.splits.values():
        totals['image'] += len(split.image_names)
        totals['object'] += len(split.annotations)
    readable = {}
    for name, split in dataset.splits.items():
        readable[name], faults = leave_out_images(split)
        issues += group_faults(faults, '')
    dataset, copies = leave_out_copies(dataset.replace_splits(readable))
    for faults in copies.values():
        issues += group_faults(faults, '')
    kept, looks = {}, []
    for name, split in dataset.splits.items():
        with_masks = dataset.annotation_types[0] == 'masks'
        kept[name], faults, look = leave_out_objects(split, with_masks, box_format)
        issues += group_faults(faults, '')
        if look:
            looks.append(f' Boxes of {name} look like {look}.')
    dataset = dataset.replace_splits(kept)
    empty = [
        f'object of {name}' for name in sorted(has_objects) if not dataset.splits[name].objects
    ]
    empty += [f'image of {name}' for name, split in kept.items() if not split.image_names]
    return dataset.add_notes(conclude(dataset, issues, totals, empty, ''.join(looks)))


def conclude(
    dataset: DatasetInfo,
    issues: Sequence[Issue],
    totals: Counter[str],
    empty: Sequence[str],
    looks: str,
) -> list[str]:
    """Return a note with the issues of what is left out. Raise a UserError if it is too much."""
    if not issues:
        return []
    counts = Counter()
    for issue in issues:
        counts[issue.rule.unit] += len(issue.examples)
    count = ', '.join(count_by_unit(issues, totals))
    lines = [f'  {issue.format(MANY)}' for issue in merge(issues)]
    named = escape_controls('\n'.join(['', *lines]))
    limit = 'mmgcvit leaves out at most a tenth of the images and of the objects'
    if empty:
        limit = f'No {empty[0]} can be used'
    if empty or any(are_too_many(counts[unit], totals[unit]) for unit in counts):
        raise UserError(
            f'{dataset.folder}: {count}. {limit}.{looks} Repair or remove these:{named}'
        )
    return [f'{count}. These images and annotations are left out:{named}']


def merge(issues: Sequence[Issue]) -> list[Issue]:
    """Return one issue for each rule, with the examples of all."""
    examples: dict[Rule, list[str]] = {}
    for issue in issues:
        examples.setdefault(issue.rule, []).extend(issue.examples)
    return [Issue(rule, '', found) for rule, found in examples.items()]


def leave_out_images(split: Split) -> tuple[Split, list[Fault]]:
    """Return a split without images that cannot be read or used, and their faults."""
    faults = list(find_image_faults(split.image_folder, split.image_names, split.sizes))
    kept = set(range(len(split.image_names))) - {fault.index for fault in faults}
    split = split.select(kept)
    if not split.annotations:
        return split, faults
    rotated = find_rotated(split)
    faults += [
        Fault(ROTATED_BOXES, index, str(split.image_folder / split.image_names[index]))
        for index in rotated
    ]
    return split.select(set(range(len(split.image_names))) - set(rotated)), faults


def find_rotated(split: ObjectSplit) -> list[int]:
    """Return the images with the size before their EXIF rotation but boxes after it.

    Boxes tell it by those that fit only one of both pictures: more of them must fit the rotated
    one.
    """
    corners = get_corners(split.annotations)
    sizes = np.reshape(split.list_sizes(split.annotations), (-1, 2)).astype(float)
    fits_before = are_inside(corners, sizes)
    fits_after = are_inside(corners, sizes[:, ::-1])
    if not (fits_after & ~fits_before).any():
        return []
    pairs, _ = read_each(read_sizes, [split.image_folder / name for name in split.image_names])
    rotated = [
        index
        for index, (annotated, (before, after)) in enumerate(zip(split.sizes, pairs, strict=True))
        if annotated == before != after
    ]
    ids = {split.images[index]['id'] for index in rotated}
    is_rotated = np.array([entry['image_id'] in ids for entry in split.annotations], bool)
    num_after = (fits_after & ~fits_before & is_rotated).sum()
    num_before = (fits_before & ~fits_after & is_rotated).sum()
    return rotated if num_after > num_before else []


def leave_out_objects(
    split: Split, with_masks: bool, box_format: str
) -> tuple[Split, list[Fault], str]:
    """Return a split without wrong objects, their faults, and what the boxes look like.

    Boxes that leave their image a little are cut at its edges.
    """
    if not split.annotations:
        return split, [], ''
    sizes = split.list_sizes(split.annotations)
    rules, look = find_object_faults(split.annotations, sizes, with_masks, box_format)
    names = split.list_image_names(split.annotations)
    faults = []
    for index, rule in enumerate(rules):
        if rule is not None:
            entry = split.annotations[index]
            example = f'{names[index]}: annotation {entry["id"]}, bbox {entry["bbox"]!s:.80}'
            faults.append(Fault(rule, index, example))
    kept = {index for index, rule in enumerate(rules) if rule is None}
    return cut_boxes(split.select_annotations(kept)), faults, look


def cut_boxes(split: ObjectSplit) -> ObjectSplit:
    """Return a split whose boxes end at the edges of their images."""
    corners = get_corners(split.annotations)
    sizes = np.reshape(split.list_sizes(split.annotations), (-1, 2)).astype(float)
    inner = corners.clip(0, np.tile(sizes, 2))
    boxes = np.hstack([inner[:, :2], inner[:, 2:] - inner[:, :2]]).round(2).tolist()
    is_cut = (abs(inner - corners) > MIN_CUT).any(1)
    annotations = list(split.annotations)
    for index in np.flatnonzero(is_cut):
        entry, box = annotations[index], boxes[index]
        area = min(entry['area'], round(box[2] * box[3], 2))
        annotations[index] = {**entry, 'bbox': box, 'area': area}
    return split.replace_annotations(annotations)
