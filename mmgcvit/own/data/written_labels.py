"""Compare the labels of a picture with those that ``mmgcvit predict --labels`` wrote for it.

The mark of a folder (``origins.py``) has a record for each label. Tools change orders and ids, and
round coordinates, which says nothing about who has made the labels.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...datasets.annotations import (
    Edges,
    Json,
    JsonObject,
    LabelledObject,
    Polygon,
    Size,
    Unusable,
    are_numbers,
    parse_box,
)
from ...datasets.rules.objects import measure_mask
from ...errors import UserError
from ...host.tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from .folders import MARK
from .label_maps import read_labels
from .object_records import AnyImage, ObjectImage, ObjectSplit, SplitImages
from .outlines import MeasuredPolygons, Outline, are_near, are_within_a_pixel
from .records import ClassImage, ClassSplit, MapImage, MapSplit

T = TypeVar('T')
# By how many pixels an edge of a box, and the outline of a mask, may differ. Tools round
# coordinates, Pascal VOC to whole pixels.
TOLERANCE = 1.0
# A mask is written as polygons up to a pixel from its outline. A tool may compute the box of them.
BOX_OF_MASK_TOLERANCE = 2 * TOLERANCE


class MarkError(ValueError):
    """A value of a mark has another type than ``predict --labels`` writes."""


def require_object(value: Json) -> JsonObject:
    """Return a JSON object. Raise a MarkError for another value."""
    if not isinstance(value, dict):
        raise MarkError(f'{value!r:.40} is not an object')
    return value


def get_value(content: JsonObject, key: str, expected: type[T]) -> T:
    """Return a value of a JSON object. Raise a MarkError unless it is of a type."""
    value = content.get(key)
    if not isinstance(value, expected):
        raise MarkError(f'{key} is {value!r:.40}')
    return value


def get_optional_text(content: JsonObject, key: str) -> str | None:
    """Return a text of a JSON object, or None if it is null or missing. Raise a MarkError for
    another value.
    """
    return None if content.get(key) is None else get_value(content, key, str)


class WrittenLabels(ABC, Generic[AnyImage]):
    """The labels of a picture as they were written. Each task has a subclass, for its images."""

    split_type: ClassVar[type[SplitImages[Any]]]

    @classmethod
    @abstractmethod
    def parse(cls, records: Sequence[JsonObject], size: Size) -> 'WrittenLabels[AnyImage]':
        """Return the labels in the records of a mark, of a picture of (width, height).

        Raise a MarkError for values of other types.
        """

    @abstractmethod
    def are_unchanged(self, image: AnyImage, folder: Path, classes: Sequence[str]) -> bool:
        """Return whether the labels of an image say what was written.

        Args:
            image: The image.
            folder: The folder to which its paths are relative.
            classes: The classes of its dataset, by label.
        """


@dataclass(frozen=True)
class WrittenObject:
    """An object of a detector. Coordinates are in pixels."""

    class_name: str
    edges: Edges  # of the box
    polygons: Sequence[Polygon]  # of the mask; none without one

    @cached_property
    def measured(self) -> MeasuredPolygons:
        """The polygons of the mask, which there must be, with their edges."""
        corners = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in self.polygons])
        edges = [*corners.min(0).tolist(), *corners.max(0).tolist()]
        return MeasuredPolygons(self.polygons, edges)

    def scale(self, factors: Sequence[float]) -> 'WrittenObject':
        """Return the object with coordinates that are multiplied by factors for x and y."""
        edges, *polygons = [
            (np.reshape(values, (-1, 2)) * factors).ravel().tolist()
            for values in (self.edges, *self.polygons)
        ]
        return WrittenObject(self.class_name, edges, polygons)


@dataclass(frozen=True)
class WrittenObjects(WrittenLabels[ObjectImage]):
    """The objects of a picture."""

    split_type = ObjectSplit

    size: Size  # of the picture, (width, height)
    objects: Sequence[WrittenObject]

    @classmethod
    def parse(cls, records: Sequence[JsonObject], size: Size) -> 'WrittenObjects':
        return cls(size, [parse_object(record) for record in records])

    def are_unchanged(self, image: ObjectImage, folder: Path, classes: Sequence[str]) -> bool:
        """Return whether each object is one that was written, and the other way round.

        Their order doesn't count.
        """
        if isinstance(image.size, Unusable):
            return False
        objects = []
        for each in image.objects:
            measured = measure_object(each, image.size)
            if measured is None:
                return False
            objects.append(measured)
        factors = np.divide(image.size, self.size).tolist()
        written = [each.scale(factors) for each in self.objects]
        matches = np.zeros((len(objects), len(written)), bool)
        for row, measured in enumerate(objects):
            for column, other in enumerate(written):
                matches[row, column] = is_same_object(measured, other, image.size)
        return bool(matches.any(0).all() and matches.any(1).all())


def parse_object(record: JsonObject) -> WrittenObject:
    """Return the object of a record in a mark. Raise a MarkError for values of other types."""
    name = get_value(record, 'class', str)
    box = parse_box(record.get('bbox'))
    if isinstance(box, Unusable):
        raise MarkError(f'bbox is {box!s:.40}')
    polygons = get_value(record, 'segmentation', list) if 'segmentation' in record else []
    if not all(are_numbers(polygon) and is_polygon_length(len(polygon)) for polygon in polygons):
        raise MarkError(f'segmentation is {polygons!s:.40}')
    return WrittenObject(name, box.edges, polygons)


def is_polygon_length(number: int) -> bool:
    """Return whether so many numbers are the x and y of at least three points."""
    return number >= 6 and number % 2 == 0


@dataclass(frozen=True)
class MeasuredObject:
    """What is compared of an object of an image. Its mask is measured once for all comparisons."""

    class_name: str
    edges: Edges  # of the box
    outline: Outline | None  # None without a mask


def measure_object(each: LabelledObject, size: Size) -> MeasuredObject | None:
    """Return what is compared of an object of an image of (width, height).

    Return None for one that ``predict --labels`` does not write: that is ignored, or has no box or
    a mask that breaks a rule.
    """
    if each.is_ignored or isinstance(each.box, Unusable) or isinstance(each.mask, Unusable):
        return None
    outline = None
    if each.mask is not None:
        measured = measure_mask(each.mask, size)
        if measured.rule:
            return None
        outline = Outline(each.mask, measured.edges)
    return MeasuredObject(each.class_name, each.box.edges, outline)


def is_same_object(each: MeasuredObject, written: WrittenObject, size: Size) -> bool:
    """Return whether an object of an image of (width, height) says what was written, but for how
    tools round it.
    """
    if each.class_name != written.class_name:
        return False
    if each.outline is not None:
        return bool(written.polygons) and are_within_a_pixel(each.outline, written.measured, size)
    tolerance = BOX_OF_MASK_TOLERANCE if written.polygons else TOLERANCE
    return are_near(each.edges, written.edges, tolerance)


@dataclass(frozen=True)
class WrittenClasses(WrittenLabels[ClassImage]):
    """The class of a picture."""

    split_type = ClassSplit

    names: Sequence[str]

    @classmethod
    def parse(cls, records: Sequence[JsonObject], size: Size) -> 'WrittenClasses':
        return cls([get_value(record, 'class', str) for record in records])

    def are_unchanged(self, image: ClassImage, folder: Path, classes: Sequence[str]) -> bool:
        return [image.class_name] == self.names


@dataclass(frozen=True)
class WrittenMap(WrittenLabels[MapImage]):
    """The segmentation map of a picture: a digest of the mask of each class (:func:`hash_mask`)."""

    split_type = MapSplit

    size: Size  # of the map, (width, height)
    digests: Mapping[str, str]  # by class name

    @classmethod
    def parse(cls, records: Sequence[JsonObject], size: Size) -> 'WrittenMap':
        digests = {}
        for record in records:
            digests[get_value(record, 'class', str)] = get_value(record, 'sha256', str)
        return cls(size, digests)

    def are_unchanged(self, image: MapImage, folder: Path, classes: Sequence[str]) -> bool:
        """Return whether each class has the pixels that were written.

        Raise a UserError for a map of another size.
        """
        pixels = read_labels(folder / image.map_name, image.pixel_labels)
        height, width = pixels.shape
        if (width, height) != self.size:
            raise UserError(
                f'{folder / image.map_name} has {width} x {height} pixels, and {MARK} says that '
                f'{self.size[0]} x {self.size[1]} were written, so they cannot be compared. Export '
                'the maps in the size of the pictures'
            )
        found = {
            classes[label]: hash_mask(pixels == label)
            for label in np.unique(pixels).tolist()
            if label < len(classes)
        }
        return found == self.digests


def hash_mask(mask: NDArray[np.bool_]) -> str:
    """Return the SHA-256 of a mask (height, width)."""
    packed = np.packbits(mask).tobytes()
    return hashlib.sha256(repr(mask.shape).encode() + packed).hexdigest()


WRITTEN_LABELS: Mapping[str, type[WrittenLabels[Any]]] = {
    DETECTION.name: WrittenObjects,
    SEGMENTATION.name: WrittenMap,
    CLASSIFICATION.name: WrittenClasses,
}
