"""Hold out images for validation if a dataset has no validation split."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from ..errors import UserError
from .records import DatasetInfo, Split

VAL_FRACTION = 0.2
# The ends of names: of Roboflow's augmented copies (NAME_jpg.rf.HASH.jpg), and of frames of a video
# and pictures of a burst (NAME_0012.jpg).
COPY_ENDING = re.compile(r'((_[a-z]+)?\.rf\.[^/]*|\.\w+)$', re.IGNORECASE)
NUMBER = re.compile(r'((\d+\.)?\d+)m?s?$')
MAX_SERIES = 0.4  # the part of all images up to which a series of numbered images is not divided
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
    held_out = choose_images(classes_of_groups, of_each=is_classification)
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
    """Return the indices of images in groups that stay together, in a fixed order.

    Frames of a video, pictures of a burst and copies of an image are alike: their names differ in
    a number at the end. A series of more than :data:`MAX_SERIES` of all images is divided into
    parts of consecutive numbers.

    Args:
        split: The images.
        labels: A text for each image. Only images with the same one are a group.
    """
    series = defaultdict(list)
    for index, name in enumerate(split.image_names):
        # Names of images outside of the image folder are absolute.
        name = os.path.relpath(split.image_folder / name, split.image_folder)
        name = COPY_ENDING.sub('', name)
        number = NUMBER.search(name)
        position = float(number[1]) if number else 0
        series[labels[index], NUMBER.sub('', name)].append((position, index))
    totals, groups = Counter(labels), {}
    for (label, name), members in series.items():
        positions = sorted({position for position, _ in members})
        num_parts = 1
        if len(members) > MAX_SERIES * totals[label]:
            num_parts = min(len(positions), round(1 / VAL_FRACTION))
        parts = {each: i * num_parts // len(positions) for i, each in enumerate(positions)}
        for position, index in members:
            groups.setdefault(f'{label}{name} {parts[position]}', []).append(index)
    names = sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest())
    return [groups[name] for name in names]


def choose_images(classes: Sequence[set[str]], of_each: bool) -> set[int]:
    """Return the indices of a fifth of the images: the first, unless a split would lack a class.

    A class's only image is for training. Return none if no image can be held out.

    Args:
        classes: The classes of each image.
        of_each: Whether to choose a fifth of each class.
    """
    images = defaultdict(list)
    for index, names in enumerate(classes):
        for name in names:
            images[name].append(index)
    images[EVERYTHING] = list(range(len(classes)))
    held_out = set()
    counts = Counter()
    # Rare classes first: few images can be held out for them.
    for name in sorted(images, key=lambda name: (name == EVERYTHING, len(images[name]), name)):
        share = 1
        if of_each or name == EVERYTHING:
            share = max(1, round(VAL_FRACTION * len(images[name])))
        for index in images[name]:
            if counts[name] >= share:
                break
            names = {*classes[index], EVERYTHING}
            leaves_one = all(counts[other] + 1 < len(images[other]) for other in names)
            if index not in held_out and leaves_one:
                held_out.add(index)
                counts.update(names)
    has_classes = len(images) > 1
    return held_out if len(counts) > has_classes else set()
