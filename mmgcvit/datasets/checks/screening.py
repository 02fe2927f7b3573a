"""Find the few annotations of a COCO file that may break a rule for objects, with arrays.

The rules look at one object after another, which takes minutes for the 860,000 of COCO. What is
computed here for thousands of objects at once are the same sizes. An object is sound if they are
all right beyond rounding. The rules then judge the others, and so decide, alone, what is said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from ..annotations import Json, JsonObject, Polygon, Size, are_numbers
from ..rules.objects import (
    BOX_DECIMALS,
    MARGIN,
    MAX_AREA_ERROR,
    MAX_DIFFERENCE,
    MAX_RING_ERROR,
    MIN_MASK_AREA,
    MIN_VISIBLE,
)
from ..shapes import is_polygon

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

CHUNK = 10_000  # annotations whose coordinates are in memory as arrays at a time
NO_BOX = (np.nan,) * 4
ROUNDING = 1e-9  # relative: sums of the same numbers in another order differ by less


@dataclass(frozen=True)
class Screened:
    """What may be wrong with each of n annotations, as arrays (n,)."""

    has_sound_box: Flags  # breaks no rule for boxes
    has_sound_mask: Flags  # breaks no rule for masks either
    has_box: Flags  # the box is four numbers
    may_have_corners: Flags  # the box may be that of two corners, [x1, y1, x2, y2]
    left: Floats  # the left edge of the box, NaN if it is not one


@dataclass(frozen=True)
class Boxes:
    """Boxes and areas of n annotations."""

    values: Floats  # (n, 4), as in the file; NaN for what is not a box
    areas: Floats  # (n,); NaN for what is not a number

    @property
    def edges(self) -> Floats:
        """Left, top, right and bottom edges (n, 4)."""
        return np.concatenate([self.values[:, :2], self.values[:, :2] + self.values[:, 2:]], axis=1)


@dataclass(frozen=True)
class Polygons:
    """Sizes of the masks of n annotations, with NaN for those that are not polygons."""

    edges: Floats  # (n, 4): left, top, right, bottom
    area: Floats  # (n,): the sum of the areas of a mask's polygons
    largest: Floats  # (n,): the area of the largest one
    rounding: Floats  # (n,): the sum may be wrong by so much


def screen(annotations: Sequence[JsonObject], sizes: Sequence[Size]) -> Screened:
    """Screen the entries of a COCO file's annotations.

    Args:
        annotations: The entries, which have COCO's keys. Values may be of any type.
        sizes: The (width, height) of the image of each.
    """
    parts = [screen_chunk(*chunk) for chunk in iter_chunks(annotations, sizes)]
    if not parts:
        parts = [screen_chunk((), ())]
    return Screened(
        has_sound_box=np.concatenate([part.has_sound_box for part in parts]),
        has_sound_mask=np.concatenate([part.has_sound_mask for part in parts]),
        has_box=np.concatenate([part.has_box for part in parts]),
        may_have_corners=np.concatenate([part.may_have_corners for part in parts]),
        left=np.concatenate([part.left for part in parts]),
    )


def iter_chunks(
    annotations: Sequence[JsonObject], sizes: Sequence[Size]
) -> Iterator[tuple[Sequence[JsonObject], Sequence[Size]]]:
    for start in range(0, len(annotations), CHUNK):
        yield annotations[start : start + CHUNK], sizes[start : start + CHUNK]


def screen_chunk(annotations: Sequence[JsonObject], sizes: Sequence[Size]) -> Screened:
    image_sizes = np.array(sizes, dtype=float).reshape(-1, 2)
    boxes = read_boxes(annotations)
    polygons = measure_polygons([entry.get('segmentation') for entry in annotations])
    has_sound_box = find_sound_boxes(boxes, image_sizes)
    return Screened(
        has_sound_box=has_sound_box,
        has_sound_mask=has_sound_box & find_sound_masks(polygons, boxes, image_sizes),
        has_box=np.isfinite(boxes.values[:, 0]),
        may_have_corners=find_corners(boxes, polygons),
        left=boxes.values[:, 0],
    )


def read_boxes(annotations: Sequence[JsonObject]) -> Boxes:
    """Return the boxes and areas of annotations."""
    values = [read_box(entry['bbox']) for entry in annotations]
    areas = [read_number(entry['area']) for entry in annotations]
    return Boxes(np.array(values, dtype=float).reshape(-1, 4), np.array(areas, dtype=float))


def read_box(value: Json) -> Sequence[float]:
    return value if are_numbers(value) and len(value) == 4 else NO_BOX


def read_number(value: Json) -> float:
    numbers = [value]
    return numbers[0] if are_numbers(numbers) else np.nan


def measure_polygons(segmentations: Sequence[Json]) -> Polygons:
    """Measure the masks of n annotations that consist of polygons with at least three points."""
    number = len(segmentations)
    edges = np.full((number, 4), np.nan)
    area, largest, rounding = np.full((3, number), np.nan)
    measured = []
    masks = []
    for index, value in enumerate(segmentations):
        if are_polygons(value):
            measured.append(index)
            masks.append(value)
    if masks:
        # Each polygon, and each mask, begins where those before it end.
        polygons = [*chain.from_iterable(masks)]
        mask_starts = find_starts([len(mask) for mask in masks])  # among the polygons
        lengths = np.array([len(polygon) // 2 for polygon in polygons])
        starts = find_starts(lengths)  # among the points
        coordinates = np.fromiter(chain.from_iterable(polygons), float, 2 * lengths.sum())
        x = coordinates[::2]
        y = coordinates[1::2]
        following = np.arange(1, len(x) + 1)
        following[starts + lengths - 1] = starts  # the first point follows the last one
        down = x * y[following]
        across = x[following] * y
        areas = np.abs(np.add.reduceat(down - across, starts)) / 2
        sums = np.add.reduceat(np.abs(down) + np.abs(across), starts)
        area[measured] = np.add.reduceat(areas, mask_starts)
        largest[measured] = np.maximum.reduceat(areas, mask_starts)
        rounding[measured] = ROUNDING * np.add.reduceat(sums, mask_starts)
        first_points = starts[mask_starts]
        edges[measured, 0] = np.minimum.reduceat(x, first_points)
        edges[measured, 1] = np.minimum.reduceat(y, first_points)
        edges[measured, 2] = np.maximum.reduceat(x, first_points)
        edges[measured, 3] = np.maximum.reduceat(y, first_points)
    return Polygons(edges, area, largest, rounding)


def are_polygons(value: Json) -> TypeGuard[Sequence[Polygon]]:
    """Return whether a segmentation is a list of polygons with at least three points each."""
    if not isinstance(value, list) or not value:
        return False
    return all(are_numbers(polygon) and is_polygon(polygon) for polygon in value)


def find_starts(lengths: Sequence[int] | Indices) -> Indices:
    """Return where each part begins, if parts of these lengths follow each other."""
    ends = np.cumsum(lengths)
    return ends - np.asarray(lengths)


def find_sound_boxes(boxes: Boxes, sizes: Floats) -> Flags:
    """Return which boxes break no rule, as :func:`.find_box_rule` does.

    ``sizes`` are (n, 2): width and height of the images. NaN compares as false.
    """
    edges = boxes.edges
    visible = np.minimum(edges[:, 2:], sizes) - np.maximum(edges[:, :2], 0)
    is_visible = (visible >= MIN_VISIBLE).all(axis=1)
    return are_inside(edges, sizes) & is_visible & (boxes.areas > 0)


def are_inside(edges: Floats, sizes: Floats) -> Flags:
    """Return which edges (n, 4) are inside of their images, but for :data:`MARGIN`."""
    pixels, fraction = MARGIN
    margins = np.maximum(pixels, fraction * sizes)
    begins_inside = (edges[:, :2] >= -margins).all(axis=1)
    ends_inside = (edges[:, 2:] <= sizes + margins).all(axis=1)
    return begins_inside & ends_inside


def find_sound_masks(polygons: Polygons, boxes: Boxes, sizes: Floats) -> Flags:
    """Return which masks are polygons that break no rule, as :func:`.find_mask_rule` does, if their
    boxes break none.
    """
    has_area = polygons.area >= MIN_MASK_AREA + polygons.rounding
    pixels, fraction = MAX_DIFFERENCE
    sides = np.tile(boxes.values[:, 2:], 2)
    differences = np.abs(polygons.edges - boxes.edges)
    agrees = (differences <= np.maximum(pixels, fraction * sides)).all(axis=1)
    return has_area & agrees & are_inside(polygons.edges, sizes) & ~find_rings(polygons, boxes)


def find_rings(polygons: Polygons, boxes: Boxes) -> Flags:
    """Return which masks may be an outline and its holes, as :func:`.is_ring` does."""
    holes = polygons.area - polygons.largest
    without_holes = polygons.largest - holes
    tolerance = np.maximum(1, MAX_RING_ERROR * polygons.largest)
    has_holes = holes > tolerance - polygons.rounding
    fits_area = np.abs(boxes.areas - without_holes) < tolerance + 3 * polygons.rounding
    return has_holes & fits_area


def find_corners(boxes: Boxes, polygons: Polygons) -> Flags:
    """Return which boxes may be two corners, as :func:`.is_corner_box` does."""
    left, top, right, bottom = boxes.values.T
    are_corners = (right > left) & (bottom > top) & ((left != 0) | (top != 0))
    tolerance = MAX_DIFFERENCE[0]
    are_edges = (np.abs(polygons.edges - boxes.values) <= tolerance).all(axis=1)
    area = (right - left) * (bottom - top)
    error = np.maximum(1, MAX_AREA_ERROR * area) + ROUNDING * np.abs(boxes.values).max(axis=1) ** 2
    is_area = np.abs(boxes.areas - area) <= error
    has_polygons = np.isfinite(polygons.area)
    return are_corners & np.where(has_polygons, are_edges, is_area)


def find_close(image_indices: Indices, values: Floats) -> Flags:
    """Return which of n values lie so close to another one of the same image that both may be equal
    when they are rounded.

    Args:
        image_indices: The index of the image of each (n,).
        values: The values (n,). NaN, for what has no value, is close to everything.
    """
    is_close = np.isnan(values)
    order = np.lexsort([values, image_indices])
    # Rounding moves each of two values by half of the last decimal at most.
    is_step_small = ~(np.diff(values[order]) > 1.1 * 10.0**-BOX_DECIMALS)
    is_step_small &= np.diff(image_indices[order]) == 0
    is_close[order[1:]] |= is_step_small
    is_close[order[:-1]] |= is_step_small
    return is_close
