"""Read maps that number the objects of an image (instances), and tell them from maps of classes
(semantic).
"""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ..decoding import IGNORE_INDEX, read_map, read_segmentation_map
from .dataset_info import AnnotatedImage, read_each
from .plausible import are_too_many

INSTANCE_MAPS = 'instance label maps'
NUM_SAMPLES = 50  # number of maps that decide whether numbers are instances
# Maps numbered 1 to N show instances if there are so many different N, and so many objects in a
# map.
MIN_COUNTS, MIN_OBJECTS = 3, 8


def are_instances(
    folder: Path, files: Sequence[Path], classes: Sequence[str] | None, task: str | None
) -> bool:
    """Return whether the numbers in maps are instances. Raise a UserError if they could be
    instances or classes.

    They could be instances if most are one connected region each. They are if ``classes.txt`` has
    one name, ``task`` is 'segment' or 'detect', a number is over 255, files have cellpose's name
    ``_masks``, or all maps are numbered from 1 to N (:data:`MIN_COUNTS`). They are not if all maps
    have the same ones.
    """
    if task == 'semantic' or len(classes or ()) > 1:
        return False
    samples, _ = read_each(
        measure_map, [folder / file for file in files[:: ceil(len(files) / NUM_SAMPLES)]]
    )
    samples = [sample for sample in samples if sample[0]]
    found = {frozenset(numbers) for numbers, _ in samples}
    are_connected = [is_one for _, ones in samples for is_one in ones]
    if sum(are_connected) <= len(are_connected) / 2:
        return False
    highest = max(map(max, found))
    are_counted = (
        all(numbers == {*range(1, len(numbers) + 1)} for numbers in found)
        and len(found) >= MIN_COUNTS
    )
    are_counted = are_counted and not are_too_many(are_connected.count(False), len(are_connected))
    are_named = (
        classes
        or task in ('segment', 'detect')
        or all(file.stem.lower().endswith('_masks') for file in files)
    )
    if are_named or highest > IGNORE_INDEX or (are_counted and highest >= MIN_OBJECTS):
        return True
    if highest == 1 or (len(found) == 1 and len(samples) > 1):
        return False
    advice = 'Add --task segment for instances, or --task semantic'
    raise UserError(
        f'{folder}: are the numbers in the maps objects (instances) or classes (semantic)? {advice}'
    )


def measure_map(path: Path) -> tuple[list[int], list[bool]]:
    """Return the numbers in a map, and whether each is one connected region."""
    from scipy import ndimage  # imported here, because other formats do not need it

    labels = read_segmentation_map(path, with_instances=True)
    # A map of a single value tells nothing.
    regions = {} if labels.min() == labels.max() else find_regions(labels)
    counts = (
        ndimage.label(labels[part] == number, np.ones((3, 3)))[1]
        for number, part in regions.items()
    )
    return [*regions], [count == 1 for count in counts]


def find_regions(labels: NDArray[np.integer]) -> dict[int, tuple[slice, slice]]:
    """Return rows and columns of each object, by its number.

    In 8 bits, 255 is background, unless there is a 254.
    """
    from scipy import ndimage

    numbers, indices = np.unique(labels, return_inverse=True)
    parts = zip(
        numbers.tolist(), ndimage.find_objects(indices.reshape(labels.shape) + 1), strict=True
    )
    ignored = IGNORE_INDEX if labels.dtype == np.uint8 and IGNORE_INDEX - 1 not in numbers else 0
    return {number: part for number, part in parts if number > 0 and number != ignored}


def read_instances(folder: Path, maps: Mapping[Path, Path], image: Path) -> AnnotatedImage:
    """Read the objects of one class that the map of an image numbers. Their masks are RLE."""
    from pycocotools import mask as coco_mask

    labels = read_map(folder / maps[image], folder / image, with_instances=True)
    labels = np.asfortranarray(labels)  # the order that pycocotools needs
    objects = []
    for number in find_regions(labels):
        mask = coco_mask.encode((labels == number).view(np.uint8))
        values = {
            'bbox': coco_mask.toBbox(mask).tolist(),
            'area': int(coco_mask.area(mask)),
            'iscrowd': 0,
        }
        objects.append((0, {**values, 'segmentation': {**mask, 'counts': mask['counts'].decode()}}))
    return AnnotatedImage(folder / image, labels.shape[::-1], objects)
