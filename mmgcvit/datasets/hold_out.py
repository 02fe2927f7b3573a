"""Hold out images for validation if a dataset has no validation split."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import ceil, inf
from typing import NamedTuple

from ..errors import UserError
from .records import DatasetInfo, Split

VAL_FRACTION = 0.2
# The end of the names of Roboflow's augmented copies (NAME_jpg.rf.HASH.jpg), or a suffix.
COPY_ENDING = re.compile(r'((_[a-z]+)?\.rf\.[^/]*|\.\w+)$', re.IGNORECASE)
# A name that may end in the number of a frame of a video or a picture of a burst (NAME_0012, NAME
# (12)), and words after it, such as a camera's (NAME_0012_left).
NUMBERED = re.compile(
    r'(?P<start>.*?)'
    r'((?P<number>(\d+\.)?\d+)m?s?\)?(?P<words>([_-](leftImg8bit|[a-z]+))*))?',
    re.IGNORECASE | re.DOTALL,
)
# Label Studio puts eight hex digits before names. If all of them are decimal, they may be a date.
UPLOAD_PREFIX = re.compile(r'(?<![^/])[0-9a-f]{8}-')
NO_DATE_PREFIX = re.compile(r'(?<![^/])(?!\d{8}-)[0-9a-f]{8}-')
MAX_SERIES = 0.4  # the part of all images up to which a series of numbered images is not divided
MAX_OVERSHOOT = 1.5  # how many times a fifth may be held out if another choice is possible


def split_validation(dataset: DatasetInfo) -> DatasetInfo:
    """Return a dataset with a validation split: its own, or a fifth of the training images, of
    class folders a fifth of each class.

    A hash of their names selects the images, so that each run selects the same, and nearly the same
    after new ones were added.

    Raises:
        UserError: No class has an image for each split.
    """
    if 'val' in dataset.splits:
        return dataset
    train = dataset.splits['train']
    classes = train.list_classes()
    parts = defaultdict(dict)  # the names of images by their indices, of each class
    for index, name in enumerate(list_stems(train)):
        label = str(classes[index]) if dataset.annotation_types == ('classes',) else ''
        parts[label][index] = label + name
    val = {index for names in parts.values() for index in choose_images(names, classes)}
    if not val:
        raise UserError(
            f'{dataset.folder} has no images to hold out for validation: a class needs two of them '
            'that are not a series (names that differ only in their last number). Add images, or '
            'make a val split'
        )
    num_images = len(classes)
    rest = set(range(num_images)) - val
    splits = {**dataset.splits, 'train': train.select(rest), 'val': train.select(val)}
    note = f'no val split: {len(val)} of {num_images} images are held out for validation'
    return replace(dataset, splits=splits).add_notes([note])


def list_stems(split: Split) -> list[str]:
    """Return the names of images without what tools add to them."""
    # Names of images outside of the image folder are absolute.
    folder = split.image_folder
    names = [os.path.relpath(folder / name, folder) for name in split.image_names]
    if any(map(NO_DATE_PREFIX.search, names)):
        names = [UPLOAD_PREFIX.sub('', name) for name in names]
    return [COPY_ENDING.sub('', name) for name in names]


class Group(NamedTuple):
    """Images that stay together, by their indices, and their classes."""

    images: Sequence[int]
    classes: frozenset[str]


class HeldOut:
    """The images that are held out of ``groups``. They grow while groups are taken."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.images: set[int] = set()
        self.classes: set[str] = set()
        # What is left for training: the number of groups, and that of groups with each class.
        self.num_left = len(groups)
        self.num_left_of = Counter(name for group in groups for name in group.classes)

    def can_take(self, group: Group, max_images: float) -> bool:
        """Return whether a group leaves training another one, and another one of each class, and
        whether at most ``max_images`` are held out with it (the first group may have more).
        """
        leaves_one = self.num_left > 1 and all(self.num_left_of[n] > 1 for n in group.classes)
        fits = not self.images or len(self.images) + len(group.images) <= max_images
        return leaves_one and fits and self.images.isdisjoint(group.images)

    def take(self, group: Group) -> None:
        self.images.update(group.images)
        self.classes.update(group.classes)
        self.num_left -= 1
        self.num_left_of.subtract(group.classes)


def choose_images(names: Mapping[int, str], classes: Sequence[Iterable[str]]) -> set[int]:
    """Return the indices of a fifth of some images: one group of each class, then the first groups.

    If a class or half of a fifth is missing, groups are taken by which far more than a fifth is
    held out. A class's only group is for training. Return none if no group can be held out.

    Args:
        names: The names of these images by their indices, for class folders those of one class.
        classes: The classes of all images of the dataset, by index.
    """
    groups = []
    by_class = defaultdict(list)
    for images in group_images(names):
        group = Group(images, frozenset().union(*(classes[index] for index in images)))
        groups.append(group)
        for name in group.classes:
            by_class[name].append(group)
    fifth = VAL_FRACTION * len(names)
    limits = (MAX_OVERSHOOT * fifth, inf)
    val = HeldOut(groups)
    # Rare classes first: few groups can be held out for them.
    for name in sorted(by_class, key=lambda name: (len(by_class[name]), name)):
        for max_images in limits:
            possible = [group for group in by_class[name] if val.can_take(group, max_images)]
            if possible and name not in val.classes:
                val.take(possible[0])
    num_images = max(1, round(fifth))
    for least, max_images in zip((num_images, num_images / 2), limits, strict=True):
        for group in groups:
            if len(val.images) < least and val.can_take(group, max_images):
                val.take(group)
    # Images without objects alone give no score.
    is_scored = val.classes or not by_class
    return val.images if is_scored else set()


def group_images(names: Mapping[int, str]) -> list[list[int]]:
    """Return the indices of images in groups that stay together, in a fixed order: that of a hash
    of their names.

    A series (:func:`find_series`) of more than :data:`MAX_SERIES` of all images is divided into
    parts of consecutive numbers. Groups of more than a fifth come last, by size, or first if the
    others are less than half of a fifth.
    """
    groups = defaultdict(list)
    for name, members in find_series(names).items():
        positions = sorted({position for position, _ in members})
        num_parts = 1
        if len(members) > MAX_SERIES * len(names):
            num_parts = min(len(positions), round(1 / VAL_FRACTION))
        parts = {each: i * num_parts // len(positions) for i, each in enumerate(positions)}
        for position, index in members:
            digest = hashlib.sha256(f'{name} {parts[position]}'.encode()).digest()
            groups[digest].append(index)
    fifth = ceil(VAL_FRACTION * len(names))
    ordered = [groups[digest] for digest in sorted(groups)]
    small = [group for group in ordered if len(group) <= fifth]
    large = sorted((group for group in ordered if len(group) > fifth), key=len)
    are_few = 2 * sum(map(len, small)) < fifth
    return large + small if are_few else small + large


def find_series(names: Mapping[int, str]) -> dict[str, list[tuple[float, int]]]:
    """Return the (number, index) of the names of each series, by what they begin with.

    Frames of a video, pictures of a burst and copies of an image are alike: their names differ in
    a number at the end, and maybe in words after it. If more words than numbers occur, the words
    tell what is in an image, and the images are no series.
    """
    series = defaultdict(list)
    words = defaultdict(set)
    for index, name in names.items():
        match = NUMBERED.fullmatch(name)
        series[match['start']].append((float(match['number'] or 0), index))
        words[match['start']].add(match['words'] or '')
    for start in list(series):
        numbers = {number for number, _ in series[start]}
        if len(words[start]) > len(numbers):
            for number, index in series.pop(start):
                series[names[index]].append((number, index))
    return series
