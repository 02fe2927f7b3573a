"""Advise the user on a dataset: classes without objects, and objects that are too small to be
found.
"""

from collections import Counter
from itertools import chain
from math import ceil, inf, prod

import numpy as np

from ...errors import format_count, shorten
from .dataset_info import DatasetInfo

MIN_OBJECT_SIDE = (
    8  # objects with a smaller side in pixels are too small to be found; anchors have 16 to 32 px
)
MAX_SMALL = 0.1  # the fraction of small objects up to which nothing is said
# Fewer training images are few, and a class with a larger share of the classes of all training
# images dominates.
FEW_IMAGES, MAX_SHARE = 50, 0.9
SIZE_STEP, MAX_IMAGE_SIZE = (
    32,
    1344,
)  # image sizes are proposed in steps of this number of pixels, up to a maximum
LONG_SIDE = (
    5 / 3
)  # the largest long side of an image in training, relative to the image size, as in the templates


def find_missing_classes(dataset: DatasetInfo) -> list[str]:
    """Return notes about classes that a split lacks, and about a single image for training."""
    found, notes = {name: set().union(*dataset.list_classes(name)) for name in dataset.splits}, []
    what = 'an object of ' if dataset.has_objects else ''
    if untrained := [name for name in dataset.classes if name not in found['train']]:
        notes.append(f'no training image has {what}{shorten(untrained, 8)}, so none will be found')
    for split, classes in found.items():
        if only_there := [name for name in untrained if name in classes]:
            notes.append(
                f'{split} has {what}{shorten(only_there, 8)}, which its score counts as not found'
            )
        # Test images without annotations are not scored.
        unscored = [name for name in dataset.classes if name in found['train'] - classes]
        if unscored and (classes or split == 'val'):
            notes.append(
                f'no {split} image has {what}{shorten(unscored, 8)}, so the score says nothing '
                'about them'
            )
    if len(dataset.splits['train'].image_names) == 1:
        notes.append(
            'only one image is for training: what is new in other images will not be found'
        )
    return notes


def find_weaknesses(dataset: DatasetInfo, has_small_objects: bool) -> list[str]:
    """Return likely reasons of a low score: few training images, small objects, one class in nearly
    all of them.
    """
    classes = Counter(chain.from_iterable(dataset.list_classes('train'))).most_common()
    num_images, num_labels, reasons = (
        len(dataset.splits['train'].image_names),
        sum(dict(classes).values()),
        [],
    )
    if num_images < FEW_IMAGES:
        reasons.append(
            f'there are only {format_count(num_images, "training image")}; more would help'
        )
    if has_small_objects:
        reasons.append('many objects are too small; use --tiles or a larger --image-size')
    if len(dataset.classes) > 1 and classes and classes[0][1] > MAX_SHARE * num_labels:
        reasons.append(
            f'nearly all training images have only {classes[0][0]}; add images of the other classes'
        )
    return reasons


def find_small_objects(
    dataset: DatasetInfo, image_size: int, tiles: int | None = None
) -> list[str]:
    """Return a note if more than a tenth of the training objects are small at an image size in
    pixels (short side).

    Small is a box whose area has a square root under :data:`MIN_OBJECT_SIDE`. ``tiles`` is the side
    of the tiles that are cut out of images before they are resized.
    """
    train = dataset.splits['train']
    objects = train.objects if dataset.has_objects else []
    if not objects:
        return []
    image_sides = np.minimum(train.list_sizes(objects), tiles or inf)
    # The side of a pixel after resizing, relative to image_size.
    scales = np.minimum(1 / image_sides.min(1), LONG_SIDE / image_sides.max(1))
    sides = np.sort(np.sqrt([prod(obj['bbox'][2:]) for obj in objects]) * scales)
    num_small = (sides * image_size < MIN_OBJECT_SIDE).sum()
    if num_small <= MAX_SMALL * len(sides):
        return []
    # Nine of ten objects have at least this side.
    needed = ceil(MIN_OBJECT_SIDE / sides[int(MAX_SMALL * len(sides))] / SIZE_STEP) * SIZE_STEP
    advice = f'Train with --image-size {needed}, at which nine of ten are larger, or on tiles of the images (--tiles)'
    if needed > MAX_IMAGE_SIZE:
        advice = 'Train on tiles of the images: --tiles'
    problem = (
        f'objects for training are under {MIN_OBJECT_SIDE} px at an image size of {image_size} px'
    )
    return [f'{num_small} of {len(sides)} {problem}: too small to be found. {advice}']
