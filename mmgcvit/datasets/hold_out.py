"""Hold out images for validation if a dataset has no validation split."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import ceil, inf

from ..errors import UserError
from .records import DatasetInfo, Split

VAL_FRACTION = 0.2
# The end of the names of Roboflow's augmented copies (NAME_jpg.rf.HASH.jpg), or a suffix.
COPY_ENDING = re.compile(r'((_[a-z]+)?\.rf\.[^/]*|\.\w+)$', re.IGNORECASE)
# The number of a frame of a video or a picture of a burst (NAME_0012, NAME (12)), and the words
# after it, such as a camera's (NAME_0012_left).
NUMBER = re.compile(
    r'(?P<number>(\d+\.)?\d+)m?s?\)?(?P<words>([_-](leftImg8bit|[a-z]+))*)$', re.IGNORECASE
)
# Label Studio puts eight hex digits before names. Eight decimal digits may be a date.
UPLOAD_PREFIX = re.compile(r'(?<![^/])[0-9a-f]{8}-')
DATE_PREFIX = re.compile(r'(?<![^/])\d{8}-')
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
    labels = [str(names) if is_classification else '' for names in classes]
    groups = group_images(train, labels)
    classes_of_groups = [set().union(*(classes[index] for index in group)) for group in groups]
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
    names = [label + stem for label, stem in zip(labels, list_stems(split), strict=True)]
    for name, members in find_series(names).items():
        positions = sorted({position for position, _ in members})
        num_parts = 1
        if len(members) > MAX_SERIES * totals[labels[members[0][1]]]:
            num_parts = min(len(positions), round(1 / VAL_FRACTION))
        parts = {each: i * num_parts // len(positions) for i, each in enumerate(positions)}
        for position, index in members:
            groups[f'{name} {parts[position]}'].append(index)
    return sort_groups(groups, labels)


def list_stems(split: Split) -> list[str]:
    """Return the names of images without what tools add to them."""
    # Names of images outside of the image folder are absolute.
    folder = split.image_folder
    names = [os.path.relpath(folder / name, folder) for name in split.image_names]
    if any(UPLOAD_PREFIX.search(name) and not DATE_PREFIX.search(name) for name in names):
        names = [UPLOAD_PREFIX.sub('', name) for name in names]
    return [COPY_ENDING.sub('', name) for name in names]


def find_series(names: Sequence[str]) -> dict[str, list[tuple[float, int]]]:
    """Return the (number, index) of the names of each series, by what they begin with.

    Frames of a video, pictures of a burst and copies of an image are alike: their names differ in
    a number at the end, and maybe in words after it. If more words than numbers occur, the words
    tell what is in an image, and the images are no series.
    """
    series, words = defaultdict(list), defaultdict(set)
    for index, name in enumerate(names):
        match = NUMBER.search(name)
        start = name[: match.start()] if match else name
        series[start].append((float(match['number']) if match else 0, index))
        words[start].add(match['words'] if match else '')
    for start in list(series):
        numbers = {number for number, _ in series[start]}
        if len(words[start]) > len(numbers):
            for number, index in series.pop(start):
                series[names[index]].append((number, index))
    return series


def sort_groups(groups: Mapping[str, list[int]], labels: Sequence[str]) -> list[list[int]]:
    """Return groups of images in a fixed order: that of a hash of their names.

    Groups of more than a fifth come last, by size, or first if the others are less than half of a
    fifth.

    Args:
        groups: The indices of images by the name of the group.
        labels: The label of each image.
    """
    fifths = {label: VAL_FRACTION * total for label, total in Counter(labels).items()}
    small = Counter()
    for members in groups.values():
        label = labels[members[0]]
        if len(members) <= ceil(fifths[label]):
            small[label] += len(members)

    def rank(name: str) -> tuple[bool, int, bytes]:
        size, label = len(groups[name]), labels[groups[name][0]]
        is_large = size > ceil(fifths[label])
        are_large_first = 2 * small[label] < fifths[label]
        digest = hashlib.sha256(name.encode()).digest()
        return is_large != are_large_first, size if is_large else 0, digest

    return [groups[name] for name in sorted(groups, key=rank)]


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
    counts, images = Counter(), Counter()  # of the held-out groups, by class
    # Rare classes first: few groups can be held out for them.
    for name in sorted(groups, key=lambda name: (name == EVERYTHING, len(groups[name]), name)):
        whole = name if of_each else EVERYTHING
        fifth = VAL_FRACTION * totals[whole]
        share = max(1, round(fifth)) if name == whole else 1
        # If too little fits, the first of what does not fit is added.
        steps = [(share, MAX_OVERSHOOT * fifth), (share / 2, inf)]
        for (least, limit), index in product(steps, groups[name]):
            names = {*classes[index], EVERYTHING}
            is_needed = index not in held_out and images[name] < least
            fits = not images[whole] or images[whole] + sizes[index] <= limit
            leaves_one = all(counts[other] + 1 < len(groups[other]) for other in names)
            if is_needed and fits and leaves_one:
                held_out.add(index)
                counts.update(names)
                images.update(dict.fromkeys(names, sizes[index]))
    has_classes = len(groups) > 1
    return held_out if len(counts) > has_classes else set()
