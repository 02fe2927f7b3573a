"""What is annotated for an object, as records, and how values of JSON files become them.

A file may have any value in the place of a box, an area or a mask. Those of the wrong type are
:class:`Unusable` from here on, so no other code has to expect them; the rules say so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import TypeAlias, TypeGuard, cast

Json: TypeAlias = 'bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None'
JsonObject: TypeAlias = Mapping[str, Json]
Id: TypeAlias = 'bool | int | float | str | None'  # tools number entries, or write names or UUIDs

MAX_COORDINATE = 1e9  # larger coordinates are not read as numbers

Size = tuple[int, int]  # (width, height) in pixels
Edges = Sequence[float]  # the left, top, right and bottom edge of a box or a mask, in pixels
Polygon = Sequence[float]  # x1, y1, x2, y2, ...; any number of values


@dataclass(frozen=True, slots=True)
class Unusable:
    """A value of a file that has another type than its format says."""

    value: Json

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Box:
    """A box in pixels, with its left upper corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def values(self) -> list[float]:
        """The values in COCO's order."""
        return [self.x, self.y, self.width, self.height]

    @property
    def edges(self) -> Edges:
        return self.x, self.y, self.x + self.width, self.y + self.height

    def __str__(self) -> str:
        return str(self.values)


@dataclass(frozen=True, slots=True)
class Rle:
    """A mask in RLE, by columns, in COCO's format."""

    size: Sequence[float]  # height, width
    counts: str | Sequence[int]  # compressed, or the lengths

    @property
    def entry(self) -> dict[str, Json]:
        """The mask as COCO's files and pycocotools have it."""
        return {'size': self.size, 'counts': self.counts}


Mask = Rle | Sequence[Polygon]


@dataclass(frozen=True, slots=True)
class LabelledObject:
    """An object in an image."""

    id: Id  # 1, 2, ... in the order of a dataset's files; in a config's file any
    class_name: str
    box: Box | Unusable
    area: float | Unusable  # in square pixels
    mask: Mask | Unusable | None = None
    is_ignored: bool = False  # a crowd, or difficult: neither an object nor background
    is_crowd: bool = False  # whether it is ignored by COCO's iscrowd, not by another flag
    others: JsonObject = field(default_factory=dict)  # other keys of COCO's entry
    place: str = ''  # where the annotation file has it, for messages

    @property
    def has_rle(self) -> bool:
        """Whether the file has the mask as RLE, be it usable or not."""
        return isinstance(self.mask, Rle) or (
            isinstance(self.mask, Unusable) and isinstance(self.mask.value, Mapping)
        )


@dataclass(frozen=True)
class ImageObjects:
    """An image with what is annotated in it."""

    name: str
    size: Size | Unusable  # as annotated
    objects: Sequence[LabelledObject] = ()


def is_id(value: Json) -> TypeGuard[Id]:
    """Return whether a value can be an id: a number, a text, true, false or null."""
    return not isinstance(value, list | dict)


def are_numbers(values: Json) -> TypeGuard[list[float]]:
    """Return whether a value is a list of finite numbers, not larger than a coordinate can be."""
    if not isinstance(values, list) or not {*map(type, values)} <= {int, float}:
        return False
    # In C: a file has millions of coordinates. Comparisons miss a NaN that is not first, a sum does
    # not.
    is_small = not values or (max(values) <= MAX_COORDINATE and min(values) >= -MAX_COORDINATE)
    return is_small and not isnan(sum(values))


def parse_size(width: Json, height: Json) -> Size | Unusable:
    """Return the size of an image, whose sides must be integers (also 96.0)."""
    sides = [width, height]
    if are_numbers(sides) and all(side == int(side) for side in sides):
        return int(sides[0]), int(sides[1])
    return Unusable(sides)


def get_sides(size: Size | Unusable) -> tuple[Json, Json]:
    """Return the width and height of an image as its file has them."""
    if isinstance(size, Unusable):
        width, height = cast(Sequence[Json], size.value)  # of parse_size
        return width, height
    return size


def parse_box(value: Json) -> Box | Unusable:
    """Return COCO's box [x, y, width, height]."""
    if are_numbers(value) and len(value) == 4:
        return Box(*value)
    return Unusable(value)


def parse_area(value: Json) -> float | Unusable:
    """Return the area of an object."""
    numbers = [value]
    return numbers[0] if are_numbers(numbers) else Unusable(value)


def parse_mask(value: Json) -> Mask | Unusable | None:
    """Return COCO's ``segmentation``: polygons, RLE, or None if it is missing or empty."""
    if not value:
        return None
    if isinstance(value, dict):
        return parse_rle(value)
    if isinstance(value, list) and all(map(are_numbers, value)):
        return value
    return Unusable(value)


def parse_rle(value: JsonObject) -> Rle | Unusable:
    """Return a mask in RLE. Whether its counts fit its size is not checked."""
    size = value.get('size')
    counts = value.get('counts')
    if not are_numbers(size) or len(size) != 2:
        return Unusable(value)
    if isinstance(counts, str) or are_lengths(counts):
        return Rle(size, counts)
    return Unusable(value)


def are_lengths(counts: Json) -> TypeGuard[Sequence[int]]:
    """Return whether the counts of a mask in RLE are a list of integers, none under 0."""
    if not isinstance(counts, list):
        return False
    return all(type(count) is int and count >= 0 for count in counts)


def parse_rotation(value: Json) -> float:
    """Return the degrees by which CVAT has rotated a rectangle clockwise, 0 for other values."""
    try:
        degrees = float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return degrees % 360 if isfinite(degrees) else 0.0
