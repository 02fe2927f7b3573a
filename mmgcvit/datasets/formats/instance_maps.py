"""Read maps that number the objects of an image (instances), and tell them from maps of classes (semantic)."""

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
# From how many maps it is decided what their numbers are.
NUM_SAMPLES = 50
# The fewest different N of maps numbered 1 to N that show that these are instances.
MIN_COUNTS = 3


def are_instances(folder: Path, files: Sequence[Path], classes: Sequence[str] | None, task: str | None) -> bool:
    """Return whether the numbers in maps are instances. Raise a UserError if they could be instances or classes.

    They could be instances if most are one connected region each, unless all maps have the same ones. They are if
    ``classes.txt`` has one name, ``task`` is 'segment' or 'detect', a map has more than 8 bits, or all maps are
    numbered from 1 to N, with at least :data:`MIN_COUNTS` different N.
    """
    if task == 'semantic' or len(classes or ()) > 1:
        return False
    samples, _ = read_each(measure_map, [folder / file for file in files[:: ceil(len(files) / NUM_SAMPLES)]])
    samples = [sample for sample in samples if sample[0]]
    found = {frozenset(numbers) for numbers, _, _ in samples}
    are_connected = [is_one for _, connected, _ in samples for is_one in connected]
    differ = max(map(max, found), default=0) > 1 and (len(found) > 1 or len(samples) == 1)
    if sum(are_connected) <= len(are_connected) / 2 or not (classes or differ):
        return False
    are_counted = all(numbers == {*range(1, len(numbers) + 1)} for numbers in found) and len(found) >= MIN_COUNTS
    are_counted = are_counted and not are_too_many(are_connected.count(False), len(are_connected))
    if classes or task in ('segment', 'detect') or are_counted or any(is_deep for *_, is_deep in samples):
        return True
    advice = 'Add --task segment for instances, or --task semantic'
    raise UserError(f'{folder}: are the numbers in the maps objects (instances) or classes (semantic)? {advice}')


def measure_map(path: Path) -> tuple[list[int], list[bool], bool]:
    """Return the numbers in a map, whether each is one connected region, and whether the map has more than 8 bits."""
    from scipy import ndimage  # imported here, because other formats do not need it

    labels = read_segmentation_map(path, with_instances=True)
    # A map of a single value tells nothing.
    regions = {} if labels.min() == labels.max() else find_regions(labels)
    counts = (ndimage.label(labels[part] == number, np.ones((3, 3)))[1] for number, part in regions.items())
    return [*regions], [count == 1 for count in counts], labels.dtype != np.uint8


def find_regions(labels: NDArray[np.integer]) -> dict[int, tuple[slice, slice]]:
    """Return the rows and columns of each object in a map, by its number. In 8 bits, 255 is ignored, as in VOC's."""
    from scipy import ndimage

    numbers, indices = np.unique(labels, return_inverse=True)
    parts = zip(numbers.tolist(), ndimage.find_objects(indices.reshape(labels.shape) + 1), strict=True)
    ignored = IGNORE_INDEX if labels.dtype == np.uint8 else 0
    return {number: part for number, part in parts if number > 0 and number != ignored}


def read_instances(folder: Path, maps: Mapping[Path, Path], image: Path) -> AnnotatedImage:
    """Read the objects of one class that the map of an image numbers. Their masks are RLE."""
    from pycocotools import mask as coco_mask

    labels = read_map(folder / maps[image], folder / image, with_instances=True)
    labels = np.asfortranarray(labels)  # the order that pycocotools needs
    objects = []
    for number in find_regions(labels):
        mask = coco_mask.encode((labels == number).view(np.uint8))
        values = {'bbox': coco_mask.toBbox(mask).tolist(), 'area': int(coco_mask.area(mask)), 'iscrowd': 0}
        objects.append((0, {**values, 'segmentation': {**mask, 'counts': mask['counts'].decode()}}))
    return AnnotatedImage(folder / image, labels.shape[::-1], objects)
