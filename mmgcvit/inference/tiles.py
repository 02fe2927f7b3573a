"""Large images tile by tile: where the tiles lie, and how what is found in each becomes one prediction.

Beside the image there is one batch of tiles in memory, whatever the size: of masks the parts with objects are held, of
maps of scores nothing. Tiles and boxes are left, top, right, bottom in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UserError
from .results import Detections, Masks, Panoptic, Part, Prediction, Segmentation

if TYPE_CHECKING:
    from .predictor import Predictor

Box = tuple[int, int, int, int]
# The stride of backbones, in pixels.
SMALLEST_SIDE = 32
# Neighbours overlap by this share of a tile's side at least.
OVERLAP = 0.25
# Boxes of two tiles agree from this IoU on.
AGREEMENT = 0.5
# A tile cuts an object whose box comes so near to its edge, as a share of its side.
MARGIN = 1 / 64


@dataclass(frozen=True)
class InTiles:
    """A detector or segmentor that predicts larger images by tiles of so many pixels a side, so many at a time."""

    model: Predictor
    side: int
    at_once: int = 1

    def __post_init__(self) -> None:
        if self.side < SMALLEST_SIDE:
            raise UserError(f'tiles of {self.side} pixels: expected at least {SMALLEST_SIDE}')
        if self.model.task == 'classification':
            raise UserError('tiles are for detection and segmentation; this is classification, of whole images')

    def outcomes(self, images: Sequence[np.ndarray]) -> list[Prediction | UserError]:
        """As the model's own."""
        return [self.outcome_of(image) for image in images]

    def outcome_of(self, image: np.ndarray) -> Prediction | UserError:
        """Predict for an image (height, width, 3), as the model itself where it is no larger than a tile."""
        size = image.shape[:2]
        tiles = tiles_of(size, self.side)
        if len(tiles) == 1:
            return self.model.outcomes([image])[0]
        found = self.found_in(image, tiles)
        try:
            if self.model.task == 'detection':
                return joined_objects(found, size)
            return self.model.segments_of(joined_label_map(found, size))
        except UserError as error:
            return error

    def found_in(self, image: np.ndarray, tiles: Sequence[Box]) -> Iterator[tuple[Box, Prediction]]:
        """Tiles and what is predicted for them; a UserError of the first that cannot be."""
        for begin in range(0, len(tiles), self.at_once):
            batch = tiles[begin : begin + self.at_once]
            outcomes = self.model.outcomes([image[top:bottom, left:right] for left, top, right, bottom in batch])
            for tile, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, UserError):
                    raise outcome
                if isinstance(outcome, Panoptic):
                    raise UserError('segments of panoptic segmentation are not joined over tiles; predict it whole')
                yield tile, outcome


def whole_or_in_tiles(model: Predictor, side: int | None, at_once: int) -> tuple[Predictor | InTiles, int]:
    """What predicts, and how many images at a time: the model so many; by tiles of a side one, and so many tiles."""
    return (model, at_once) if side is None else (InTiles(model, side, at_once), 1)


def tiles_of(size: tuple[int, int], side: int) -> list[Box]:
    """Tiles that cover an image (height, width), evenly spread, row by row; no larger than it."""
    spans = []
    for length in size:
        number = max(1, math.ceil((length / side - OVERLAP) / (1 - OVERLAP)))
        begins = np.linspace(0, max(0, length - side), number).round().astype(int).tolist()
        spans.append([(begin, min(begin + side, length)) for begin in begins])
    return [(left, top, right, bottom) for (top, bottom), (left, right) in product(*spans)]


def joined_label_map(found: Iterable[tuple[Box, Segmentation]], size: tuple[int, int]) -> np.ndarray:
    """The label map of an image (height, width), without the rims of tiles, half of what they overlap by."""
    label_map = np.empty(size, np.int32)
    for (left, top, right, bottom), seen in found:
        rims = [int(OVERLAP / 2 * side) for side in seen.label_map.shape]
        y1, x1 = top + rims[0] * (top > 0), left + rims[1] * (left > 0)
        y2, x2 = bottom - rims[0] * (bottom < size[0]), right - rims[1] * (right < size[1])
        label_map[y1:y2, x1:x2] = seen.label_map[y1 - top : y2 - top, x1 - left : x2 - left]
    return label_map


def joined_objects(found: Iterable[tuple[Box, Detections]], size: tuple[int, int]) -> Detections:
    """The objects of an image (height, width), each once.

    Of several detections of one object that of a tile that sees it whole is kept, the surest; where tiles only see
    parts, that of the largest, with what the others see of it.
    """
    tiles, seen, parts = gathered(found)
    # Near an edge of the tile that is none of the image.
    gaps = np.where(tiles == (0, 0, *size[::-1]), np.inf, np.abs(seen.boxes - tiles))
    cut = gaps.min(1) < MARGIN * (tiles[:, 2:] - tiles[:, :2]).max(1)
    rank = np.lexsort((seen.scores * np.where(cut, areas(seen.boxes), 1), ~cut)).argsort()
    pairs = [sorted(pair, key=rank.__getitem__) for pair in seen_twice(tiles, seen.boxes, seen.labels, cut)]
    left_out = {worse for worse, better in pairs if not cut[better]}
    for members in tied_together(pair for pair in pairs if left_out.isdisjoint(pair)):
        best = max(members, key=rank.__getitem__)
        left_out |= members - {best}
        boxes = seen.boxes[list(members)]
        seen.boxes[best] = np.r_[boxes[:, :2].min(0), boxes[:, 2:].max(0)]
        if parts:
            parts[best] = united([parts[member] for member in members])
    chosen = [number for number in np.argsort(-seen.scores, kind='stable').tolist() if number not in left_out]
    return Detections(
        seen.boxes[chosen],
        seen.scores[chosen],
        seen.labels[chosen],
        [seen.class_names[number] for number in chosen],
        None if parts is None else Masks([parts[number] for number in chosen], size),
    )


def gathered(found: Iterable[tuple[Box, Detections]]) -> tuple[np.ndarray, Detections, list[Part] | None]:
    """What tiles hold in the image's coordinates: the tile (n, 4) of each object, all objects, parts of their masks.

    Parts are None of a detector without masks; whole masks of tiles are not held.
    """
    tiles, each, parts = [], [], None
    for tile, seen in found:
        tiles += [tile] * len(seen)
        each.append(replace(seen, boxes=seen.boxes + np.float32(tile[:2] * 2), masks=None))
        if seen.masks is not None:
            parts = parts or []
            parts += [Part.of(mask, *tile[:2]) for mask in seen.masks]
    objects = Detections(
        np.concatenate([seen.boxes for seen in each]),
        np.concatenate([seen.scores for seen in each]),
        np.concatenate([seen.labels for seen in each]),
        [name for seen in each for name in seen.class_names],
        None,
    )
    return np.array(tiles).reshape(-1, 4), objects, parts


def seen_twice(tiles: np.ndarray, boxes: np.ndarray, labels: np.ndarray, cut: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of detections of one object: their boxes (n, 4) agree in what both of their tiles (n, 4) see.

    Those of two tiles are matched one to one, of the same class first. What one tile cuts is also whatever it agrees
    with that the other sees whole, and lies inside of that: where a small object fills what both tiles see, a large one
    behind it stays. Within a tile nothing is compared: the detector has settled that.
    """
    from scipy.optimize import linear_sum_assignment

    distinct = np.unique(tiles, axis=0)
    of_tile = [np.flatnonzero((tiles == tile).all(1)) for tile in distinct]
    for number, first in enumerate(of_tile):
        common = inner(distinct, distinct[number])
        for neighbour in number + 1 + np.flatnonzero(areas(common[number + 1 :])):
            second = of_tile[neighbour]
            one, other = inner(boxes[first, None], common[neighbour]), inner(boxes[second], common[neighbour])
            shared = areas(inner(one, other))
            agreement = shared / np.maximum(areas(one) + areas(other) - shared, 1e-6)
            is_half_seen = cut[first, None] != cut[second]
            halves = np.where(cut[second], areas(boxes[second]), areas(boxes[first, None]))
            is_inside = areas(inner(boxes[first, None], boxes[second])) > AGREEMENT * halves
            agrees = (agreement > AGREEMENT) & (is_inside | ~is_half_seen)
            matched = np.zeros_like(agrees)
            matched[linear_sum_assignment(agrees * (agreement + (labels[first, None] == labels[second])), True)] = True
            rows, columns = (agrees & (matched | is_half_seen)).nonzero()
            yield from zip(first[rows].tolist(), second[columns].tolist(), strict=True)


def tied_together(pairs: Iterable[Sequence[int]]) -> Collection[set[int]]:
    """Numbers that pairs tie together, directly or over others."""
    of_number: dict[int, set[int]] = {}
    for pair in pairs:
        together = set().union(*(of_number.get(number, {number}) for number in pair))
        of_number.update(dict.fromkeys(together, together))
    return {id(together): together for together in of_number.values()}.values()


def areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:] - boxes[..., :2]).clip(0).prod(-1)


def inner(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What boxes have in common."""
    corners = np.maximum(boxes[..., :2], others[..., :2]), np.minimum(boxes[..., 2:], others[..., 2:])
    return np.concatenate(corners, axis=-1)


def united(parts: Sequence[Part]) -> Part:
    """What any of them holds."""
    corners = np.array([part.box for part in parts])
    (left, top), (right, bottom) = corners[:, :2].min(0).tolist(), corners[:, 2:].max(0).tolist()
    union = np.zeros((bottom - top, right - left), bool)
    for part in parts:
        union[part.place(left, top)] |= part.mask
    return Part(union, left, top)
