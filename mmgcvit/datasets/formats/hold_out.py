"""Hold out images for validation if a dataset has no validation split."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from ...errors import UserError
from .dataset_info import DatasetInfo

VAL_FRACTION = 0.2


def split_validation(dataset: DatasetInfo) -> None:
    """Hold out a fifth of the training images for validation, in place, unless there is a
    validation split.

    A hash of their names selects the images, so that each run selects the same, and nearly the same
    after new ones were added. Raise a UserError if there is no training split, or no class has an
    image for each split.
    """
    if 'train' not in dataset.splits:
        splits = ' and '.join(dataset.splits)
        raise UserError(
            f'{dataset.folder} has images for {splits}, but none for training. Add images for '
            'training'
        )
    if 'val' in dataset.splits:
        return
    train, classes = dataset.splits['train'], dataset.list_classes('train')
    # Names of images outside of the image folder are absolute.
    names = [
        os.path.relpath(train.image_folder / name, train.image_folder) for name in train.image_names
    ]
    copies: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        # Roboflow writes augmented copies of an image as NAME.rf.HASH.jpg.
        copies[re.sub(r'\.rf\.[^/]*$', '', name)].append(index)
    groups = [
        copies[name]
        for name in sorted(copies, key=lambda name: hashlib.sha256(name.encode()).digest())
    ]
    found = [{name for index in group for name in classes[index]} for group in groups]
    held_out = choose_images(found, of_each=dataset.annotation_types == ('classes',))
    if not held_out:
        lack = (
            'only one image to train on' if len(groups) == 1 else 'no class that is in two images'
        )
        raise UserError(
            f'{dataset.folder} has {lack}. Add more: at least one is held out for validation'
        )
    val = {index for number in held_out for index in groups[number]}
    rest = {*range(len(names))} - val
    dataset.splits |= {'train': train.select(rest), 'val': train.select(val)}
    dataset.notes.append(
        f'no val split: {len(val)} of {len(names)} images are held out for validation'
    )


def choose_images(classes: Sequence[set[str]], of_each: bool) -> set[int]:
    """Return the indices of a fifth of the images: the first ones, unless a split would then lack a
    class.

    With ``of_each``, it is a fifth of each class. A class's only image is for training, except if
    each image is the only one of a class. Return none if no class is in two images. ``classes`` has
    the classes of each image.
    """
    images: dict[str, list[int]] = defaultdict(list)
    for index, names in enumerate(classes):
        for name in names:
            images[name].append(index)
    if images and max(map(len, images.values())) < 2:
        return set()
    everything = ''  # a class that all images have; names of classes are not empty
    images[everything] = [*range(len(classes))]
    held_out, counts = set(), Counter()
    # Rare classes first: few images can be held out for them.
    for name in sorted(images, key=lambda name: (name == everything, len(images[name]), name)):
        share = (
            max(1, round(VAL_FRACTION * len(images[name]))) if of_each or name == everything else 1
        )
        for index in images[name]:
            names = {*classes[index], everything}
            if counts[name] >= share:
                break
            if index not in held_out and all(
                counts[other] + 1 < len(images[other]) for other in names
            ):
                held_out.add(index)
                counts.update(names)
    if len(images) > 1 and not any(counts[name] for name in images if name != everything):
        # Each image is the only one of a class. Hold one out which has another class too.
        shared = [
            index
            for index, names in enumerate(classes)
            if any(len(images[name]) > 1 for name in names)
        ]
        held_out.add(
            min(shared, key=lambda index: sum(len(images[name]) == 1 for name in classes[index]))
        )
    return held_out
