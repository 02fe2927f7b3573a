"""Convert detections to objects that can be written as labels.

What the rules for data would leave out of a folder is not an object here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...datasets.annotations import Box, Json, LabelledObject, Polygon, Size
from ...datasets.rules.objects import find_box_rule, find_mask_rule, make_object_key
from ...predict.results import DetectedObject, Detections
from .polygons import Ring, convert_to_polygons, join_rings


@dataclass(frozen=True, eq=False)
class LabelObject:
    """An object of a label file."""

    label: int  # the index of its class
    class_name: str
    score: float
    box: Box  # in the image, to 0.01 px; of an object with a mask, the box of its mask
    area: float  # in square pixels, of the mask if there is one
    rings: tuple[Ring, ...] = ()  # a polygon for each part of the mask; none without a mask

    @property
    def polygons(self) -> list[Polygon]:
        """A polygon [x1, y1, x2, y2, ...] for each part of the mask, as COCO has it."""
        return [ring.ravel().tolist() for ring in self.rings]

    @property
    def ring(self) -> Ring:
        """The polygon of the mask, whose parts are joined by seams."""
        return join_rings(self.rings)

    def annotate(self, object_id: int) -> LabelledObject:
        """Return the record that the rules check, and that COCO files are made of."""
        others: dict[str, Json] = {'score': round(self.score, 4)}
        if not self.rings:
            others['segmentation'] = []  # as tools write it for boxes: datumaro warns without it
        return LabelledObject(
            id=object_id,
            class_name=self.class_name,
            box=self.box,
            area=self.area,
            mask=self.polygons or None,
            others=others,
        )


@dataclass(frozen=True)
class LabelImage:
    """A picture with its objects."""

    name: str  # of the file
    size: Size  # (width, height)
    objects: tuple[LabelObject, ...]


def make_objects(prediction: Detections, size: Size) -> tuple[LabelObject, ...]:
    """Return the objects of an image of (width, height), the highest-scoring first.

    Objects that break a rule, such as an empty mask or a box under a pixel wide, and repeated ones
    are left out.
    """
    made = (make_object(found, size) for found in prediction)
    return drop_unusable(made, size)


def make_object(found: DetectedObject, size: Size) -> LabelObject | None:
    """Return the object of a detection, or None if its mask is empty."""
    if found.mask is None:
        box = clip_box(found.box, size)
        area = round(box.width * box.height, 2)
        rings = []
    else:
        rings = convert_to_polygons(found.mask)
        if not rings:
            return None
        box = measure_box(found.mask)
        area = float(np.count_nonzero(found.mask))
    return LabelObject(
        label=found.label,
        class_name=found.class_name,
        score=found.score,
        box=box,
        area=area,
        rings=tuple(rings),
    )


def clip_box(edges: NDArray[np.float32], size: Size) -> Box:
    """Return the part of a box [left, top, right, bottom] that is in an image of (width, height)."""
    limits = np.array([*size, *size], float)
    left, top, right, bottom = np.clip(edges.astype(float), 0, limits).round(2).tolist()
    return Box(left, top, width=round(right - left, 2), height=round(bottom - top, 2))


def measure_box(mask: NDArray[np.bool_]) -> Box:
    """Return the box of a mask that is not empty."""
    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    return Box(
        x=float(columns[0]),
        y=float(rows[0]),
        width=float(columns[-1] - columns[0] + 1),
        height=float(rows[-1] - rows[0] + 1),
    )


def drop_unusable(objects: Iterable[LabelObject | None], size: Size) -> tuple[LabelObject, ...]:
    """Return the objects that break no rule for data, without repeated ones."""
    kept = []
    seen = set()
    for each in objects:
        if each is None:
            continue
        annotated = each.annotate(0)
        rule = find_box_rule(annotated, size)
        if rule is None and each.rings:
            rule = find_mask_rule(annotated, size)
        key = make_object_key(annotated, with_masks=True)
        if rule is None and key not in seen:
            kept.append(each)
            seen.add(key)
    return tuple(kept)
