"""Read maps of instances: each object of an image has a number of its own, and 0 is background."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....datasets.annotations import Box, Rle
from ....datasets.label_maps import read_segmentation_map
from ....errors import UserError, shorten
from ..label_maps import check_map_size
from ..layouts import Pair, PairsBySplit
from ..reading import AnnotatedImage, ReadObject, make_splits, read_splits
from ..records import DatasetInfo
from ..rules.findings import make_split_findings
from ..rules.parsing import SCATTERED, UNUSABLE_MAPS, VOID_NUMBERS

# The regions of an object are far apart if the long side of its box is over so many times the long
# side of the largest region.
MIN_SCATTER = 4
MAX_SPECK = 0.05  # smaller regions, relative to the largest one of the object, are not counted
MIN_THIN = 3  # fewer numbers at edges may be objects
# The number for "no object" by the type of a map
VOIDS = {'uint8': 255, 'uint16': 65535}


@dataclass(frozen=True)
class InstanceMap:
    """An image with the objects of its map."""

    annotated: AnnotatedImage
    file: Path
    numbers: Sequence[int]  # of the objects
    num_regions: int  # of all objects together, without specks
    scattered: Sequence[str]  # objects whose regions are far apart
    is_void_dropped: bool  # whether 255 (65535) is read as background beside other numbers


def read_instance_maps(folder: Path, by_split: PairsBySplit, names: Sequence[str]) -> DatasetInfo:
    """Read maps that give each object of an image a number; 0 is background.

    Raise a UserError if there are several names, or if all maps have one number, which several
    regions share.
    """
    names = tuple(names) or ('object',)
    if len(names) > 1:
        raise UserError(
            f'{folder}: maps of instances have one class, but there are {len(names)} names '
            f'({shorten(names)}). Keep one name, or add --task semantic'
        )
    found = read_splits(partial(read_instances, folder, names[0]), by_split)
    maps = [each for own in found.by_split.values() for each in own]
    check_numbers(folder, maps)
    annotated = {split: [each.annotated for each in own] for split, own in found.by_split.items()}
    scattered = {
        split: [place for each in own for place in each.scattered]
        for split, own in found.by_split.items()
    }
    with_void = {
        split: [str(each.file) for each in own if each.is_void_dropped]
        for split, own in found.by_split.items()
    }
    return DatasetInfo(
        folder=folder,
        format='instance label maps',
        annotation_types=('masks', 'boxes'),
        classes=names,
        splits=make_splits(folder, names, annotated),
        findings=[
            *make_split_findings(UNUSABLE_MAPS, found.errors),
            *make_split_findings(SCATTERED, scattered),
            *make_split_findings(VOID_NUMBERS, with_void),
        ],
    )


def check_numbers(folder: Path, maps: Sequence[InstanceMap]) -> None:
    """Raise a UserError if all maps have one and the same number, and in most of them several
    regions have it: then it likely stands for a class.
    """
    with_objects = [each for each in maps if each.numbers]
    numbers = {number for each in with_objects for number in each.numbers}
    shared = [each.file for each in with_objects if each.num_regions > 1]
    if len(numbers) != 1 or 2 * len(shared) <= len(with_objects):
        return
    (number,) = numbers
    num_regions = sum(each.num_regions for each in with_objects)
    raise UserError(
        f'{folder}: {number} is the only number in all {len(with_objects)} maps, and '
        f'{num_regions} regions have it (for example in {shared[0]}). If it stands for a class, '
        'add --task semantic. If each region is an object, number them: cv2.imwrite(file, '
        "cv2.connectedComponents(cv2.imread(file, 0))[1].astype('uint16')). If each map has one "
        'object in parts, give it another number in one of the maps'
    )


def read_instances(folder: Path, name: str, pair: Pair) -> InstanceMap:
    """Read the objects that the map of an image numbers, all of one class.

    The highest number of 8 bits (255) or of 16 bits (65535) is background, unless there is the one
    before it.

    Args:
        folder: The dataset's folder.
        name: The name of the class.
        pair: The image and its map, relative to ``folder``.

    Returns:
        The image with its objects, whose masks are RLE.

    Raises:
        UserError: The map cannot be used. For example, its numbers are those of soft edges.
    """
    image = folder / pair[0]
    map_file = folder / pair[1]
    # pycocotools needs this order.
    labels = np.asfortranarray(read_segmentation_map(map_file, with_instances=True))
    check_map_size(labels, map_file, image)
    found = find_numbers(labels, map_file)
    check_edges(labels, map_file)
    instances = [make_instance(labels == number, name) for number in found.objects]
    height, width = labels.shape
    return InstanceMap(
        annotated=AnnotatedImage(
            image, (width, height), objects=[each.object for each in instances]
        ),
        file=map_file,
        numbers=found.objects,
        num_regions=sum(each.regions.number for each in instances),
        scattered=[
            f'{map_file} number {number}'
            for number, each in zip(found.objects, instances, strict=True)
            if each.regions.are_far_apart
        ],
        is_void_dropped=found.is_void_dropped,
    )


@dataclass(frozen=True)
class Numbers:
    """The numbers in a map."""

    objects: list[int]  # those of objects, in order
    is_void_dropped: bool  # whether 255 (65535) is read as background beside them


def find_numbers(labels: NDArray[np.integer], map_file: Path) -> Numbers:
    """Return the numbers of a map.

    Raise a UserError if there is only that of the background, or if there are not enough for the
    objects.
    """
    numbers = set(np.unique(labels).tolist()) - {0}
    void = VOIDS.get(labels.dtype.name, 0)
    if void not in numbers:
        return Numbers(sorted(numbers), is_void_dropped=False)
    if void == 255 and len(numbers) == 255:
        raise UserError(
            f'{map_file} has 8 bits and uses all 255 numbers, which more objects may share. '
            'Save it with 16 bits'
        )
    if numbers == {void}:
        raise UserError(
            f'{map_file} has no number but {void}, the background. Give objects 1 to {void - 1}'
        )
    is_void_dropped = void - 1 not in numbers
    objects = numbers - {void} if is_void_dropped else numbers
    return Numbers(sorted(objects), is_void_dropped)


@dataclass(frozen=True)
class Instance:
    """An object of a map."""

    object: ReadObject
    regions: 'Regions'


def make_instance(is_object: NDArray[np.bool_], name: str) -> Instance:
    """Make the object of a class whose pixels are True in a map (height, width), in Fortran's
    order.
    """
    from pycocotools import mask as coco_mask

    pixels = is_object.view(np.uint8)
    mask = coco_mask.encode(pixels)
    box = coco_mask.toBbox(mask).tolist()
    x, y, width, height = map(int, box)
    return Instance(
        ReadObject(
            class_name=name,
            box=Box(*box),
            area=int(coco_mask.area(mask)),
            mask=Rle(mask['size'], mask['counts'].decode()),
        ),
        measure_regions(pixels[y : y + height, x : x + width]),
    )


def check_edges(labels: NDArray[np.integer], map_file: Path) -> None:
    """Raise a UserError if most numbers of a map are those of soft edges: pixels beside another
    object, nowhere 2 x 2 of them.

    A drawing with antialiasing has such grey levels, and a map that was resized with interpolation.
    """
    is_solid = np.ones((labels.shape[0] - 1, labels.shape[1] - 1), bool)
    corner = labels[:-1, :-1]
    for other in (labels[1:, :-1], labels[:-1, 1:], labels[1:, 1:]):
        is_solid &= corner == other
    numbers = np.setdiff1d(labels, [0])
    thin = np.setdiff1d(numbers, corner[is_solid])
    if len(thin) < MIN_THIN or 2 * len(thin) <= len(numbers):
        return
    # Small objects that lie alone are objects.
    padded = np.pad(labels, 1)
    height, width = labels.shape
    is_beside_other = np.zeros(labels.shape, bool)
    for down in range(3):
        for right in range(3):
            near = padded[down : down + height, right : right + width]
            is_beside_other |= (near != labels) & (near != 0)
    at_edges = np.intersect1d(thin, labels[is_beside_other])
    if 2 * len(at_edges) > len(numbers):
        raise UserError(
            f'{map_file} has {len(at_edges)} numbers only at the edges of others, as soft edges '
            '(antialiasing) or interpolation make them. Draw or resize it without (NEAREST), or '
            "keep the inside: (numpy.asarray(PIL.Image.open(file)) > 127).astype('uint8')"
        )


@dataclass(frozen=True)
class Regions:
    """The regions of an object's mask."""

    number: int  # without specks
    are_far_apart: bool  # for their sizes


def measure_regions(crop: NDArray[np.uint8]) -> Regions:
    """Count the regions of an object. ``crop`` is its mask in its box (height, width)."""
    import cv2  # imported here, because only maps of instances need it

    _, _, regions, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(crop))
    regions = regions[1:]  # the background is a region too
    areas = regions[:, cv2.CC_STAT_AREA]
    number = int((areas >= MAX_SPECK * areas.max()).sum())
    largest = regions[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max()
    are_far_apart = len(regions) > 1 and max(crop.shape) > MIN_SCATTER * largest
    return Regions(number, are_far_apart)
