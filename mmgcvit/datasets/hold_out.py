"""Hold out images for validation if a dataset has no validation split."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil

from ..errors import UserError
from .records import DatasetInfo, Split

VAL_FRACTION = 0.2
# The ends of names: of Roboflow's augmented copies (NAME_jpg.rf.HASH.jpg), and of frames of a video
# and pictures of a burst (NAME_0012.jpg).
COPY_ENDING = re.compile(r'((_[a-z]+)?\.rf\.[^/]*|\.\w+)$', re.IGNORECASE)
NUMBER = re.compile(r'((\d+\.)?\d+)m?s?$')
MAX_SERIES = 0.4  # the part of all images up to which a series of numbered images is not divided
MAX_OVERSHOOT = 1.5  # how many times a fifth may be held out if another choice is possible
EVERYTHING = ''  # a class that all images have; names of classes are not empty


def split_validation(dataset: DatasetInfo) -> DatasetInfo:
    """Return a dataset with a validation split: its own, or a fifth of the training images.

    A hash of their names selects the images, so that each run selects the same, and nearly the same
    after new ones were added.

    Raises:
        UserError: There is no training split, or no class has an image for each split.
    """
    if 'train' not in dataset.splits:
        splits = ' and '.join(dataset.splits)
        raise UserError(
            f'{dataset.folder} has images for {splits}, but none for training. Add images for '
            'training'
        )
    if 'val' in dataset.splits:
        return dataset
    train = dataset.splits['train']
    classes = train.list_classes()
    is_classification = dataset.annotation_types == ('classes',)
    labels = [str(names) * is_classification for names in classes]
    groups = group_images(train, labels)
    classes_of_groups = [{name for index in group for name in classes[index]} for group in groups]
    held_out = choose_groups(classes_of_groups, [*map(len, groups)], of_each=is_classification)
    if not held_out:
        raise UserError(
            f'{dataset.folder} has too few images to hold one out for validation: each is the '
            'only one of a class. Add images'
        )
    val = {index for number in held_out for index in groups[number]}
    num_images = len(train.image_names)
    rest = set(range(num_images)) - val
    splits = {**dataset.splits, 'train': train.select(rest), 'val': train.select(val)}
    note = f'no val split: {len(val)} of {num_images} images are held out for validation'
    return replace(dataset, splits=splits).add_notes([note])


def group_images(split: Split, labels: Sequence[str]) -> list[list[int]]:
    """Return the indices of images in groups that stay together, in the order of
    :func:`sort_groups`.

    A series (:func:`find_series`) of more than :data:`MAX_SERIES` of all images is divided into
    parts of consecutive numbers.

    Args:
        split: The images.
        labels: A text for each image. Only images with the same one are a group.
    """
    totals, groups = Counter(labels), defaultdict(list)
    for (label, name), members in find_series(split, labels).items():
        positions = sorted({position for position, _ in members})
        num_parts = 1
        if len(members) > MAX_SERIES * totals[label]:
            num_parts = min(len(positions), round(1 / VAL_FRACTION))
        parts = {each: i * num_parts // len(positions) for i, each in enumerate(positions)}
        for position, index in members:
            groups[label, f'{label}{name} {parts[position]}'].append(index)
    return sort_groups(groups, totals)


def find_series(
    split: Split, labels: Sequence[str]
) -> dict[tuple[str, str], list[tuple[float, int]]]:
    """Return the (number, index) of the images of each series, by label and name.

    Frames of a video, pictures of a burst and copies of an image are alike: their names differ in
    a number at the end.
    """
    series = defaultdict(list)
    for index, name in enumerate(split.image_names):
        # Names of images outside of the image folder are absolute.
        name = os.path.relpath(split.image_folder / name, split.image_folder)
        name = COPY_ENDING.sub('', name)
        number = NUMBER.search(name)
        position = float(number[1]) if number else 0
        series[labels[index], NUMBER.sub('', name)].append((position, index))
    return series


def sort_groups(
    groups: Mapping[tuple[str, str], list[int]], totals: Mapping[str, int]
) -> list[list[int]]:
    """Return groups of images in a fixed order: that of a hash of their names.

    Groups of more than a fifth come last, by size, or first if the others are less than half of a
    fifth.

    Args:
        groups: The indices of images, by label and name.
        totals: The number of images of each label.
    """
    fifths = {label: VAL_FRACTION * total for label, total in totals.items()}
    small = Counter()
    for (label, _), members in groups.items():
        if len(members) <= ceil(fifths[label]):
            small[label] += len(members)

    def rank(key: tuple[str, str]) -> tuple[bool, int, bytes]:
        label, name = key
        size = len(groups[key])
        is_large = size > ceil(fifths[label])
        are_large_first = 2 * small[label] < fifths[label]
        return is_large != are_large_first, size if is_large else 0, compute_hash(name)

    return [groups[key] for key in sorted(groups, key=rank)]


def compute_hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def choose_groups(classes: Sequence[set[str]], sizes: Sequence[int], of_each: bool) -> set[int]:
    """Return the indices of groups with a fifth of the images: the first, unless a split would lack
    a class, or far more than a fifth would be held out.

    A class's only group is for training. Return none if no group can be held out.

    Args:
        classes: The classes of each group.
        sizes: The number of images of each group.
        of_each: Whether to choose a fifth of each class.
    """
    groups, totals = defaultdict(list), Counter()
    for index, names in enumerate(classes):
        for name in (*names, EVERYTHING):
            groups[name].append(index)
            totals[name] += sizes[index]
    held_out = set()
    counts, images = Counter(), Counter()
    # Rare classes first: few groups can be held out for them.
    for name in sorted(groups, key=lambda name: (name == EVERYTHING, len(groups[name]), name)):
        whole = name if of_each else EVERYTHING
        fifth = VAL_FRACTION * totals[whole]
        share = max(1, round(fifth)) if name == whole else 1
        # If too little fits, the first of what does not fit is added.
        for least, limit in ((share, MAX_OVERSHOOT * fifth), (share / 2, totals[whole])):
            for index in groups[name]:
                if images[name] >= least:
                    break
                names = {*classes[index], EVERYTHING}
                leaves_one = all(counts[other] + 1 < len(groups[other]) for other in names)
                fits = not images[whole] or images[whole] + sizes[index] <= limit
                if index not in held_out and leaves_one and fits:
                    held_out.add(index)
                    counts.update(names)
                    images.update(dict.fromkeys(names, sizes[index]))
    has_classes = len(groups) > 1
    return held_out if len(counts) > has_classes else set()
