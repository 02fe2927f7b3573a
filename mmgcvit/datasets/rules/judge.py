"""Apply the rules to a dataset that a reader has read: leave out what breaks them, and say so."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ...errors import MANY, UserError, escape_controls, format_count
from ..decoding import read_sizes
from ..reading import read_each
from ..records import DatasetInfo, ObjectSplit, Split
from .classes import check_class_names
from .copies import leave_out_copies
from .images import MAX_THREADS, UNUSABLE_NAME, check_image, has_unusable_name
from .objects import MIN_CUT, are_inside, find_object_faults, get_corners
from .rule import Effect, Fault, Problems, Rule, are_too_many, make_issues

ROTATED_BOXES = Rule(
    'images annotated with their size before the EXIF rotation, but with boxes after it',
    'Export them again, or remove the rotation',
    in_config=Effect.NONE,
)


def judge(dataset: DatasetInfo, problems: Problems, box_format: str) -> DatasetInfo:
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
    problems = {rule: list(examples) for rule, examples in problems.items() if examples}
    totals = Counter()
    for rule, examples in problems.items():
        totals[rule.unit] += len(examples)
    splits, labelled = {}, []
    for name, split in dataset.splits.items():
        totals.update(image=len(split.image_names), object=len(split.annotations))
        labelled += [name] if split.objects else []
        splits[name], faults = leave_out_images(split)
        add_faults(problems, faults)
    dataset, faults = leave_out_copies(dataset.replace_splits(splits))
    add_faults(problems, faults)
    with_masks = dataset.annotation_types[0] == 'masks'
    splits, looks = {}, ''
    for name, split in dataset.splits.items():
        splits[name], faults, look = leave_out_objects(split, with_masks, box_format)
        add_faults(problems, faults)
        if look:
            looks += f' Boxes of {name} look like {look}.'
    empty = [f'object of {name}' for name in labelled if not splits[name].objects]
    empty += [f'image of {name}' for name, split in splits.items() if not split.image_names]
    if not problems:
        return dataset.replace_splits(splits)
    note = describe(dataset, problems, totals, empty, looks)
    return dataset.replace_splits(splits).add_notes([note])


def add_faults(problems: Problems, faults: Iterable[Fault]) -> None:
    for fault in faults:
        problems.setdefault(fault.rule, []).append(fault.example)


def describe(
    dataset: DatasetInfo, problems: Problems, totals: Counter[str], empty: list[str], looks: str
) -> str:
    """Return a note about what is left out. Raise a UserError if it is too much."""
    counts = Counter()
    for rule, examples in problems.items():
        counts[rule.unit] += len(examples)
    count = ', '.join(
        f'{format_count(number, "problem")} in {format_count(totals[unit], unit)}'
        for unit, number in sorted(counts.items())
    )
    lines = [f'\n  {issue.format(MANY)}' for issue in make_issues(problems)]
    named = escape_controls(''.join(lines))
    limit = 'mmgcvit leaves out at most a tenth of the images and of the objects'
    if empty:
        limit = f'No {empty[0]} can be used'
    if empty or any(are_too_many(counts[unit], totals[unit]) for unit in counts):
        raise UserError(
            f'{dataset.folder}: {count}. {limit}.{looks} Repair or remove these:{named}'
        )
    return f'{count}. These images and annotations are left out:{named}'


def leave_out_images(split: Split) -> tuple[Split, list[Fault]]:
    """Return a split without images that cannot be read or used, and their faults."""
    paths = split.image_paths
    faults = [
        Fault(index, UNUSABLE_NAME, str(paths[index]))
        for index, name in enumerate(split.image_names)
        if has_unusable_name(name)
    ]
    unusable = {fault.index for fault in faults}
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        checked = list(pool.map(check_image, paths, split.sizes))
    for index, (rule, example, _) in enumerate(checked):
        if rule and index not in unusable:
            faults.append(Fault(index, rule, example))
    left_out = {fault.index for fault in faults}
    split = split.select(set(range(len(paths))) - left_out)
    rotated = find_rotated(split) if split.annotations else set()
    faults += [Fault(index, ROTATED_BOXES, str(split.image_paths[index])) for index in rotated]
    return split.select(set(range(len(split.image_names))) - rotated), faults


def find_rotated(split: ObjectSplit) -> set[int]:
    """Return the images with the size before their EXIF rotation but boxes after it.

    Boxes tell it that fit only one of both pictures: more of them must fit the rotated one.
    """
    corners = get_corners(split.annotations)
    sizes = split.get_sizes(split.annotations)
    # 1: it fits only the picture after the rotation. -1: only that before it.
    fits = are_inside(corners, sizes[:, ::-1]).astype(int) - are_inside(corners, sizes)
    if not (fits > 0).any():
        return set()
    found, _ = read_each(read_sizes, split.image_paths)
    rotated = {
        index
        for index, (annotated, (before, after)) in enumerate(zip(split.sizes, found, strict=True))
        if annotated == before != after
    }
    ids = {split.images[index]['id'] for index in rotated}
    is_rotated = [entry['image_id'] in ids for entry in split.annotations]
    return rotated if fits[is_rotated].sum() > 0 else set()


def leave_out_objects(
    split: Split, with_masks: bool, box_format: str
) -> tuple[Split, list[Fault], str]:
    """Return a split without wrong objects, their faults, and what the boxes look like.

    Boxes that leave their image a little are cut at its edges.
    """
    if not split.annotations:
        return split, [], ''
    sizes = split.get_sizes(split.annotations)
    rules, look = find_object_faults(split.annotations, sizes, with_masks, box_format)
    names = split.list_image_names(split.annotations)
    faults, kept = [], set()
    for index, (rule, entry) in enumerate(zip(rules, split.annotations, strict=True)):
        if rule is None:
            kept.add(index)
        else:
            example = f'{names[index]}: annotation {entry["id"]}, bbox {entry["bbox"]!s:.80}'
            faults.append(Fault(index, rule, example))
    return cut_boxes(split.select_annotations(kept)), faults, look


def cut_boxes(split: ObjectSplit) -> ObjectSplit:
    """Return a split whose boxes end at the edges of their images."""
    corners = get_corners(split.annotations)
    cut = corners.clip(0, np.tile(split.get_sizes(split.annotations), 2))
    boxes = np.hstack([cut[:, :2], cut[:, 2:] - cut[:, :2]]).round(2).tolist()
    annotations = list(split.annotations)
    for index in np.flatnonzero((abs(cut - corners) > MIN_CUT).any(1)):
        box = boxes[index]
        area = min(annotations[index]['area'], round(box[2] * box[3], 2))
        annotations[index] = {**annotations[index], 'bbox': box, 'area': area}
    return split.replace_annotations(annotations)
