"""Advise the user on a dataset: objects that are small or many, and reasons of a low score."""

from collections import Counter
from collections.abc import Sequence
from math import ceil, inf, prod

import numpy as np
from numpy.typing import NDArray

from ..errors import format_count
from .records import DatasetInfo, Size, Split

MIN_OBJECT_SIDE = 8  # objects with a smaller side in pixels are not found; anchors have 16 to 32 px
MAX_SMALL = 0.1  # the fraction of small objects, or of wide images, up to which nothing is said
FEW_IMAGES = 50  # fewer training images are few
MAX_SHARE = 0.9  # a class with a larger share of all training images' classes dominates
SIDE_STEP = 32  # sides of tiles are multiples of it, in pixels
WIDE_ASPECT = 1.5  # above, the centre of an image is a small part of it
LONG_SIDE = 5 / 3  # largest long side of an image in training, relative to the image size


def find_weaknesses(dataset: DatasetInfo, remedy: str) -> list[str]:
    """Return likely reasons of a low score: few images, small objects, one dominant class.

    ``remedy`` has the options with which less is small, or is empty if little is.
    """
    train = dataset.splits['train']
    num_images = len(train.image_names)
    reasons = []
    if num_images < FEW_IMAGES:
        reasons.append(
            f'there are only {format_count(num_images, "training image")}; more would help'
        )
    if remedy:
        reasons.append(f'small objects or thin regions are hard to see; use {remedy}')
    counts = Counter(name for names in train.list_classes() for name in names)
    if len(dataset.classes) > 1 and counts:
        name, number = counts.most_common(1)[0]
        if number > MAX_SHARE * counts.total():
            reasons.append(
                f'nearly all training images have only {name}; add images of the other classes'
            )
    return reasons


def find_small_objects(train: Split, image_size: int, tiles: int | None = None) -> str:
    """Return a sentence if more than a tenth of the training objects are small, or ''.

    Small is a box whose area has a square root under :data:`MIN_OBJECT_SIDE` after resizing.

    Args:
        train: The images for training.
        image_size: The short side to which images are resized, in pixels.
        tiles: The side of the tiles that are cut out of images before they are resized.
    """
    if not train.objects:
        return ''
    sizes = [
        (image['width'], image['height'])
        for entry, image in train.iter_annotations()
        if not entry.get('iscrowd')
    ]
    image_sides = np.minimum(sizes, tiles or inf)
    # The side of a pixel after resizing, relative to image_size.
    scales = np.minimum(1 / image_sides.min(1), LONG_SIDE / image_sides.max(1))
    sides = measure_sides(train) * scales * image_size
    num_small = (sides < MIN_OBJECT_SIDE).sum()
    if num_small <= MAX_SMALL * len(sides):
        return ''
    return (
        f'{num_small} of {len(sides)} objects for training are under {MIN_OBJECT_SIDE} px at an '
        f'image size of {image_size} px: too small to be found'
    )


def choose_tile_side(train: Split, image_size: int) -> int:
    """Return the side of tiles in pixels at which nine of ten objects are not small.

    Tiles are resized to ``image_size``. They are not larger than it, so that they are not shrunk.
    """
    if not train.objects:
        return image_size
    largest = measure_small_side(train) * image_size / MIN_OBJECT_SIDE
    return min(image_size, max(SIDE_STEP, int(largest) // SIDE_STEP * SIDE_STEP))


def choose_image_size(train: Split) -> int:
    """Return the size in pixels to which the smallest tiles are enlarged, so that nine of ten
    objects are not small.
    """
    return ceil(MIN_OBJECT_SIDE / measure_small_side(train)) * SIDE_STEP


def measure_small_side(train: Split) -> float:
    """Return the side in pixels that nine of ten objects have at least."""
    return np.quantile(measure_sides(train), MAX_SMALL, method='lower')


def measure_sides(train: Split) -> NDArray[np.float64]:
    """Return the square roots of the areas of the objects' boxes (n,), in pixels."""
    return np.sqrt([prod(entry['bbox'][2:]) for entry in train.objects])


def count_fullest(split: Split, tiles: int | None = None) -> int:
    """Return the number of objects in the image, or the tile, that has most of them."""
    step = (tiles or inf) / 2
    numbers = Counter()
    for entry in split.objects:
        x, y, width, height = entry['bbox']
        # Tiles may be anywhere: those are counted that begin at a multiple of half their side.
        column = (x + width / 2) // step
        row = (y + height / 2) // step
        numbers.update((entry['image_id'], column - i, row - j) for i in (0, 1) for j in (0, 1))
    return max(numbers.values(), default=0)


def find_wide_images(sizes: Sequence[Size]) -> list[str]:
    """Return a note if a classifier sees only the centre of more than a tenth of the images."""
    num_wide = sum(max(size) > WIDE_ASPECT * min(size) for size in sizes)
    if num_wide <= MAX_SMALL * len(sizes):
        return []
    return [
        f'{num_wide} of {len(sizes)} images are over {WIDE_ASPECT} times as long as wide: a '
        'classifier sees a square of them, in tests the centre. If what matters is elsewhere, cut '
        'or pad them'
    ]
