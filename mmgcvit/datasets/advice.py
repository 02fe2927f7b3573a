"""Advise the user on a dataset: objects that are too small, and reasons of a low score."""

from collections import Counter
from math import ceil, inf, prod

import numpy as np

from ..errors import format_count
from .records import DatasetInfo

MIN_OBJECT_SIDE = 8  # objects with a smaller side in pixels are not found; anchors have 16 to 32 px
MAX_SMALL = 0.1  # the fraction of small objects up to which nothing is said
FEW_IMAGES = 50  # fewer training images are few
MAX_SHARE = 0.9  # a class with a larger share of all training images' classes dominates
SIZE_STEP, MAX_IMAGE_SIZE = 32, 1344  # steps and maximum of proposed image sizes, in pixels
LONG_SIDE = 5 / 3  # largest long side of an image in training, relative to the image size


def find_weaknesses(dataset: DatasetInfo, has_small_objects: bool) -> list[str]:
    """Return likely reasons of a low score: few images, small objects, one dominant class."""
    train = dataset.splits['train']
    num_images = len(train.image_names)
    reasons = []
    if num_images < FEW_IMAGES:
        count = format_count(num_images, 'training image')
        reasons.append(f'there are only {count}; more would help')
    if has_small_objects:
        reasons.append('many objects are too small; use --tiles or a larger --image-size')
    counts = Counter(name for names in train.list_classes() for name in names)
    if len(dataset.classes) > 1 and counts:
        name, number = counts.most_common(1)[0]
        if number > MAX_SHARE * counts.total():
            reasons.append(
                f'nearly all training images have only {name}; add images of the other classes'
            )
    return reasons


def find_small_objects(
    dataset: DatasetInfo, image_size: int, tiles: int | None = None
) -> list[str]:
    """Return a note if more than a tenth of the training objects are small.

    Small is a box whose area has a square root under :data:`MIN_OBJECT_SIDE`.

    Args:
        dataset: The dataset.
        image_size: The short side to which images are resized, in pixels.
        tiles: The side of the tiles that are cut out of images before they are resized.
    """
    train = dataset.splits['train']
    if not train.objects:
        return []
    image_sides = np.minimum(train.get_sizes(train.objects), tiles or inf)
    # The side of a pixel after resizing, relative to image_size.
    scales = np.minimum(1 / image_sides.min(1), LONG_SIDE / image_sides.max(1))
    areas = [prod(entry['bbox'][2:]) for entry in train.objects]
    sides = np.sort(np.sqrt(areas) * scales)
    num_small = (sides * image_size < MIN_OBJECT_SIDE).sum()
    if num_small <= MAX_SMALL * len(sides):
        return []
    side_of_nine_in_ten = sides[int(MAX_SMALL * len(sides))]
    needed = ceil(MIN_OBJECT_SIDE / side_of_nine_in_ten / SIZE_STEP) * SIZE_STEP
    advice = (
        f'Train with --image-size {needed}, at which nine of ten are larger, or on tiles of the '
        'images (--tiles)'
    )
    if needed > MAX_IMAGE_SIZE:
        advice = 'Train on tiles of the images: --tiles'
    return [
        f'{num_small} of {len(sides)} objects for training are under {MIN_OBJECT_SIDE} px at an '
        f'image size of {image_size} px: too small to be found. {advice}'
    ]
