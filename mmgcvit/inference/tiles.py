"""Predict large images in overlapping tiles, and merge what is found in them into one prediction.

Objects are merged by ``supervision.InferenceSlicer``, label maps here, which it has no way for. Tiles are left, top,
right, bottom in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UserError
from .results import Detections, Panoptic, Prediction, Segmentation

if TYPE_CHECKING:
    import supervision as sv

    from .predictor import Predictor

Box = tuple[int, int, int, int]
# The stride of backbones, in pixels.
MIN_SIDE = 32
# Neighbouring tiles overlap by this share of their side.
OVERLAP = 0.25
# Of two objects of a class, the lower-scoring is dropped if the other covers this share of the smaller one (IoS).
MAX_SHARED = 0.5


@dataclass(frozen=True)
class TiledPredictor:
    """Predicts images that are larger than a tile in tiles of ``side`` pixels, ``batch_size`` of them at a time."""

    model: Predictor
    side: int
    batch_size: int = 1

    def __post_init__(self) -> None:
        if self.side < MIN_SIDE:
            raise UserError(f'tiles of {self.side} pixels: expected at least {MIN_SIDE}')
        if self.model.task == 'classification':
            raise UserError('tiles are for detection and segmentation; this is classification, of whole images')

    def predict_batch(self, images: Sequence[np.ndarray]) -> list[Prediction | UserError]:
        """As :meth:`.Predictor.predict_batch`."""
        return [self.predict_image(image) for image in images]

    def predict_image(self, image: np.ndarray) -> Prediction | UserError:
        """Predict an image (height, width, 3); one that is no larger than a tile as a whole."""
        if max(image.shape[:2]) <= self.side:
            return self.model.predict_batch([image])[0]
        try:
            return self.find_objects(image) if self.model.task == 'detection' else self.find_regions(image)
        except UserError as error:
            return error

    def find_objects(self, image: np.ndarray) -> Detections:
        """Detect objects in tiles; masks are kept as crops (``supervision.CompactMask``)."""
        import supervision as sv

        def detect(tiles: list[np.ndarray] | np.ndarray) -> list[sv.Detections] | sv.Detections:
            found = self.predict_tiles(tiles if self.batch_size > 1 else [tiles])
            if any(isinstance(each, Panoptic) for each in found):
                raise UserError('segments of panoptic segmentation are not merged over tiles; predict the whole image')
            objects = [each.to_supervision() for each in found]
            return objects if self.batch_size > 1 else objects[0]

        slicer = sv.InferenceSlicer(
            detect,
            slice_wh=self.side,
            overlap_wh=int(OVERLAP * self.side),
            overlap_metric=sv.OverlapMetric.IOS,
            iou_threshold=MAX_SHARED,
            thread_workers=1,
            compact_masks=True,
            batch_size=self.batch_size,
        )
        objects = slicer(image)
        objects = objects.select(np.argsort(-objects.confidence, kind='stable'))
        masks = objects.mask
        return Detections(
            boxes=objects.xyxy.astype(np.float32),
            scores=objects.confidence.astype(np.float32),
            labels=objects.class_id.astype(np.int64),
            class_names=self.model.get_names(objects.class_id),
            masks=None if masks is None else masks.repack(),
        )

    def find_regions(self, image: np.ndarray) -> Segmentation:
        """Segment an image in tiles."""
        size, tiles, found = image.shape[:2], cut_tiles(image.shape[:2], self.side), []
        for begin in range(0, len(tiles), self.batch_size):
            batch = tiles[begin : begin + self.batch_size]
            found += self.predict_tiles([image[top:bottom, left:right] for left, top, right, bottom in batch])
        label_map = merge_label_maps(tiles, [each.label_map for each in found], size)
        return self.model.make_segmentation(label_map)

    def predict_tiles(self, tiles: Sequence[np.ndarray]) -> list[Prediction]:
        """Predict some tiles; raises the UserError of the first that cannot be predicted."""
        found = self.model.predict_batch(tiles)
        for each in found:
            if isinstance(each, UserError):
                raise each
        return found


def cut_tiles(size: tuple[int, int], side: int) -> list[Box]:
    """Tiles that cover an image (height, width), evenly spread, row by row."""
    spans = []
    for length in size:
        number = max(1, math.ceil((length / side - OVERLAP) / (1 - OVERLAP)))
        begins = np.linspace(0, max(0, length - side), number).round().astype(int).tolist()
        spans.append([(begin, min(begin + side, length)) for begin in begins])
    return [(left, top, right, bottom) for (top, bottom), (left, right) in product(*spans)]


def merge_label_maps(tiles: Sequence[Box], label_maps: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The label map of an image (height, width): of each tile without its rim, which is half of the overlap."""
    merged = np.empty(size, np.int32)
    for (left, top, right, bottom), label_map in zip(tiles, label_maps, strict=True):
        rims = [int(OVERLAP / 2 * side) for side in label_map.shape]
        y1, x1 = top + rims[0] * (top > 0), left + rims[1] * (left > 0)
        y2, x2 = bottom - rims[0] * (bottom < size[0]), right - rims[1] * (right < size[1])
        merged[y1:y2, x1:x2] = label_map[y1 - top : y2 - top, x1 - left : x2 - left]
    return merged
