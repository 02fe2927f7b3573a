"""Predict large images in overlapping tiles: objects with ``supervision.InferenceSlicer``, and segmentation maps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from ..errors import OptionalModule
from ..tasks import SEGMENTATION
from .results import Detections, Prediction, make_segmentation

sv = OptionalModule('supervision', 'predicting with tiles')

if TYPE_CHECKING:
    from .predictor import Detector, Predictor

# Neighbouring tiles overlap by at least this share of a tile's side.
OVERLAP = 0.25
# IoS threshold of the NMS (by class). IoS = intersection of two objects / area of the smaller one. Masks are compared,
# or boxes if there are no masks.
NMS_IOS_THR = 0.5
# An object counts as cut if its distance to an edge of its tile, but not to the border of the image, is at most MARGIN
# times the tile's side. A cut object is dropped if the box of a complete object covers at least the share MAX_COVERED
# of its box. Their classes may differ, since a part of an object may look like another class.
MARGIN, MAX_COVERED = 1 / 64, 0.7


def predict_in_tiles(model: Predictor, image: np.ndarray) -> Prediction:
    """Predict an image with a detector or segmentor in tiles."""
    if model.task == SEGMENTATION.name:
        return make_segmentation(segment_in_tiles(model, image), model.classes)
    return detect_in_tiles(model, image)


def detect_in_tiles(model: Detector, image: np.ndarray) -> Detections:
    """Detect the objects of a large image. To save memory, keep masks as crops (``supervision.CompactMask``)."""
    side, whole = model.tiles, replace(model, tiles=None)

    def detect(tiles: list[np.ndarray]) -> list[sv.Detections]:
        detections = [outcome.get('a tile').to_supervision() for outcome in whole.predict_batch(tiles)]
        for tile, objects in zip(tiles, detections, strict=True):
            objects.data['near_edge'] = find_near_edges(objects.xyxy, tile.shape[:2], MARGIN * side)
        return detections

    slicer = sv.InferenceSlicer(
        detect if model.tiles_per_batch > 1 else lambda tile: detect([tile])[0],
        slice_wh=side,
        overlap_wh=int(OVERLAP * side),
        overlap_filter=sv.OverlapFilter.NONE,
        compact_masks=True,
        batch_size=model.tiles_per_batch,
    )
    objects = drop_cut_objects(slicer(image), image.shape[:2], MARGIN * side)
    objects = objects.with_nms(NMS_IOS_THR, overlap_metric=sv.OverlapMetric.IOS)
    objects = objects.select(np.argsort(-objects.confidence, kind='stable'))
    masks = None if objects.mask is None else objects.mask.repack()
    if not len(objects) and getattr(model.network, 'with_mask', False):
        masks = np.zeros((0, *image.shape[:2]), bool)  # supervision merges no masks to None
    return Detections(
        boxes=objects.xyxy.astype(np.float32),
        scores=objects.confidence.astype(np.float32),
        labels=objects.class_id.astype(np.int64),
        class_names=model.get_names(objects.class_id),
        masks=masks,
    )


def segment_in_tiles(model: Predictor, image: np.ndarray) -> np.ndarray:
    """Return the class index of each pixel of a large image, in overlaps that of the tile whose centre is nearer."""
    side, whole, label_map = model.tiles, replace(model, tiles=None), np.empty(image.shape[:2], np.int32)
    places = list(product(*(place_tiles(length, side) for length in label_map.shape)))
    for i in range(0, len(places), model.tiles_per_batch):
        batch = places[i : i + model.tiles_per_batch]
        tiles = [image[top : top + side, left : left + side] for (top, _), (left, _) in batch]
        for ((top, row), (left, column)), outcome in zip(batch, whole.predict_batch(tiles), strict=True):
            part = outcome.get('a tile').label_map[row - top :, column - left :]
            label_map[row : row + part.shape[0], column : column + part.shape[1]] = part
    return label_map


def place_tiles(length: int, side: int) -> list[tuple[int, int]]:
    """Return where each tile begins along an axis, and the position from which it replaces the one before."""
    count = 1 + ceil(max(length - side, 0) / (side * (1 - OVERLAP)))
    starts = np.linspace(0, max(length - side, 0), count).astype(int).tolist()
    return [(start, (before + side + start) // 2 if start else 0) for before, start in pairwise([0, *starts])]


def drop_cut_objects(objects: sv.Detections, size: tuple[int, int], margin: float) -> sv.Detections:
    """Drop the objects that one tile cuts and another shows completely. ``size`` is the image's (height, width)."""
    if not len(objects):
        return objects
    at_border = find_near_edges(objects.xyxy, size, margin)
    is_cut = (objects.data['near_edge'] & ~at_border).any(1)  # near_edge: of the tile
    cut, complete = objects.xyxy[is_cut, None], objects.xyxy[~is_cut]
    top_left, bottom_right = np.maximum(cut[..., :2], complete[:, :2]), np.minimum(cut[..., 2:], complete[:, 2:])
    covered = (bottom_right - top_left).clip(0).prod(-1) / (cut[..., 2:] - cut[..., :2]).prod(-1)
    is_kept = ~is_cut
    is_kept[is_cut] = covered.max(1, initial=0) < MAX_COVERED
    return objects.select(np.flatnonzero(is_kept))


def find_near_edges(boxes: np.ndarray, size: tuple[int, int], margin: float) -> np.ndarray:
    """Return (n, 4) bool: whether each box is near the [left, top, right, bottom] edge of an image (height, width)."""
    return np.hstack([boxes[:, :2] <= margin, boxes[:, 2:] >= np.subtract(size[::-1], margin)])
