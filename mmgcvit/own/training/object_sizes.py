"""Measure the objects of a dataset, and choose tiles and image sizes in which they are found."""

from collections import Counter
from math import ceil, inf
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...datasets.annotations import Box, Size
from ...datasets.opening import read_sizes
from ...predict.tile_sizes import MIN_TILE, OVERLAP
from ..data.object_records import ObjectSplit
from ..data.records import Split

MIN_OBJECT_SIDE = 8  # objects with a smaller side in pixels are not found; anchors have 16 to 32 px
MAX_SMALL = 0.1  # the largest fraction of small objects, or of wide images, that is not named
SIDE_STEP = 32  # in pixels; sides that are chosen are multiples of it, or the image size
LONG_SIDE = 5 / 3  # largest long side of an image in training, relative to the image size


def choose_tiles(image_size: int, side: int, train: Split) -> dict[str, int]:
    """Return a template's variables for tiles: their side, and their number in an average image.

    ``side`` is that of the tiles in pixels; for 0, it follows from the objects.
    """
    side = side or choose_tile_side(train, image_size)
    numbers = [max(1, width * height / side**2) for width, height in list_sizes(train)]
    return {'tiles': side, 'tiles_per_image': round(mean(numbers))}


def list_sizes(train: Split) -> list[Size]:
    """Return the (width, height) of each image: the annotated one, or that of the file."""
    if isinstance(train, ObjectSplit):
        return train.sizes
    return [read_sizes(path).stored for path in train.image_paths]


def choose_tile_side(train: Split, image_size: int) -> int:
    """Return the largest side of tiles in pixels at which nine of ten objects are not small.

    Tiles are resized to ``image_size``. They are not larger than it, so that they are not shrunk,
    and not smaller than :data:`SIDE_STEP`, even if objects are small in such tiles. Maps have no
    objects: their tiles are neither shrunk nor enlarged.
    """
    if not isinstance(train, ObjectSplit) or not train.objects:
        return image_size
    largest = measure_small_side(train) * image_size / MIN_OBJECT_SIDE
    return min(image_size, max(SIDE_STEP, int(largest) // SIDE_STEP * SIDE_STEP))


def find_small_objects(train: Split, image_size: int, tiles: int | None = None) -> str:
    """Return a sentence if more than a tenth of the training objects are small, or ''.

    An object is small if, after resizing, the area of its box has a square root under
    :data:`MIN_OBJECT_SIDE`.

    Args:
        train: The images for training.
        image_size: The short side to which images are resized, in pixels.
        tiles: The side of the tiles that are cut out of images before they are resized.
    """
    if not isinstance(train, ObjectSplit) or not train.objects:
        return ''
    image_sizes = [image.size for image, each in train.iter_objects() if not each.is_ignored]
    image_sides = np.minimum(image_sizes, tiles or inf)
    # Factors by which images are resized, relative to image_size: the short side becomes
    # image_size, or less if the long side would be over LONG_SIDE times image_size.
    scales = np.minimum(1 / image_sides.min(1), LONG_SIDE / image_sides.max(1))
    sides = measure_sides(train) * scales * image_size
    num_small = (sides < MIN_OBJECT_SIDE).sum()
    if num_small <= MAX_SMALL * len(sides):
        return ''
    return (
        f'{num_small} of {len(sides)} objects for training are under {MIN_OBJECT_SIDE} px at an '
        f'image size of {image_size} px: too small to be found'
    )


def choose_image_size(train: ObjectSplit) -> int:
    """Return the image size in pixels at which nine of ten objects are not small.

    It is for tiles of :data:`SIDE_STEP` pixels, the smallest ones, which are enlarged to it.
    """
    return ceil(MIN_OBJECT_SIDE / measure_small_side(train)) * SIDE_STEP


def measure_small_side(train: ObjectSplit) -> float:
    """Return the side in pixels that nine of ten objects have at least."""
    return float(np.quantile(measure_sides(train), MAX_SMALL, method='lower'))


def measure_long_side(train: Split) -> int | None:
    """Return the longer side in pixels that nine of ten objects have at most, or None without
    objects.
    """
    if not isinstance(train, ObjectSplit) or not train.objects:
        return None
    boxes = [each.box for each in train.objects if isinstance(each.box, Box)]
    sides = [max(box.width, box.height) for box in boxes]
    return ceil(np.quantile(sides, 1 - MAX_SMALL, method='higher'))


def measure_sides(train: ObjectSplit) -> NDArray[np.float64]:
    """Return the square roots of the areas of the objects' boxes (n,), in pixels."""
    return np.sqrt([each.box.width * each.box.height for each in train.objects])


def count_fullest(split: ObjectSplit, tiles: int | None = None) -> int:
    """Return the number of objects in the image, or about that in the tile, that has most of them.

    Tiles may be anywhere. Those are counted that begin at a multiple of half their side, so the
    centre of an object is in four of them. Without tiles, the step is infinite, so the image is one
    tile.
    """
    step = (tiles or inf) / 2
    numbers: Counter[tuple[Any, float, float]] = Counter()
    for image, each in split.iter_objects():
        if each.is_ignored:
            continue
        column = (each.box.x + each.box.width / 2) // step
        row = (each.box.y + each.box.height / 2) // step
        for left in (column - 1, column):
            for top in (row - 1, row):
                numbers[image.id, left, top] += 1
    return max(numbers.values(), default=0)


def explain_small_tiles(side: int | None, object_side: int | None) -> str:
    """Return a sentence if tiles of ``side`` pixels are small for objects, whose longer side is
    ``object_side`` for one in ten or more, or ''.

    Each object that is not longer than the overlap of tiles is complete in one of them.
    """
    if not side or not object_side or object_side <= OVERLAP * side:
        return ''
    least = ceil(object_side / OVERLAP / MIN_TILE) * MIN_TILE
    return (
        f'objects are up to {object_side} px long, over a quarter of the tiles ({side} px), so '
        f'that tiles cut them, and parts of one may be counted as several. Use --tiles {least}, or '
        'larger'
    )
