"""Read maps of instances: each object of an image has a number of its own, and 0 is background."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError, shorten
from ..annotations import Box, Rle
from ..decoding import check_map_size, read_segmentation_map
from ..layouts import Pair, PairsBySplit
from ..reading import AnnotatedImage, ReadObject, list_problems, make_splits, read_splits
from ..records import DatasetInfo
from ..rules.parsing import SCATTERED, UNUSABLE_MAPS
from ..rules.rule import make_split_findings

# The regions of an object are far apart if the long side of its box is over so many times the long
# side of the largest region.
MIN_SCATTER = 4


def read_instance_maps(folder: Path, by_split: PairsBySplit, names: Sequence[str]) -> DatasetInfo:
    """Read maps that give each object of an image a number; 0 is background."""
    names = tuple(names) or ('object',)
    if len(names) > 1:
        raise UserError(
            f'{folder}: maps of instances have one class, but there are {len(names)} names '
            f'({shorten(names)}). Keep one name, or add --task semantic'
        )
    found = read_splits(partial(read_instances, folder, names[0]), by_split)
    return DatasetInfo(
        folder=folder,
        format='instance label maps',
        annotation_types=('masks', 'boxes'),
        classes=names,
        splits=make_splits(folder, names, found.by_split),
        findings=[
            *make_split_findings(UNUSABLE_MAPS, found.errors),
            *make_split_findings(SCATTERED, list_problems(found.by_split)),
        ],
    )


def read_instances(folder: Path, name: str, pair: Pair) -> AnnotatedImage:
    """Read the objects that the map of an image numbers, all of one class.

    In 8 bits, 255 is background, unless there is a 254.

    Args:
        folder: The dataset's folder.
        name: The name of the class.
        pair: The image and its map, relative to ``folder``.

    Returns:
        The image with its objects, whose masks are RLE.
    """
    from pycocotools import mask as coco_mask

    image = folder / pair[0]
    map_file = folder / pair[1]
    # pycocotools needs this order.
    labels = np.asfortranarray(read_segmentation_map(map_file, with_instances=True))
    check_map_size(labels, map_file, image)
    numbers = set(np.unique(labels).tolist()) - {0}
    if labels.dtype == np.uint8:
        if len(numbers) == 255:
            raise UserError(
                f'{map_file} has 8 bits and uses all 255 numbers, which more objects may share. '
                'Save it with 16 bits'
            )
        if numbers == {255}:
            raise UserError(
                f'{map_file} has no number but 255, the background. Give objects 1 to 254'
            )
        if 254 not in numbers:
            numbers.discard(255)
    objects = []
    scattered = []
    for number in sorted(numbers):
        pixels = (labels == number).view(np.uint8)
        mask = coco_mask.encode(pixels)
        box = coco_mask.toBbox(mask).tolist()
        objects.append(
            ReadObject(
                class_name=name,
                box=Box(*box),
                area=int(coco_mask.area(mask)),
                mask=Rle(mask['size'], mask['counts'].decode()),
            )
        )
        x, y, width, height = map(int, box)
        if is_scattered(pixels[y : y + height, x : x + width]):
            scattered.append(f'{map_file} number {number}')
    height, width = labels.shape
    return AnnotatedImage(image, (width, height), objects=objects, problems=scattered)


def is_scattered(crop: NDArray[np.uint8]) -> bool:
    """Return whether the mask of an object has regions that are far apart for their sizes.

    ``crop`` is the mask in the object's box (height, width).
    """
    import cv2  # imported here, because only maps of instances need it

    number, _, regions, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(crop))
    largest = regions[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max()
    # The background is a region too.
    return number > 2 and max(crop.shape) > MIN_SCATTER * largest
