"""Detect objects in overlapping tiles of large images (``supervision.InferenceSlicer``), and merge the detections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import OptionalModule
from .results import Detections

sv = OptionalModule('supervision', 'predicting with tiles')

if TYPE_CHECKING:
    from .predictor import Detector

# Neighbouring tiles overlap by this share of a tile's side.
OVERLAP = 0.25
# IoS threshold of the NMS (by class). IoS = intersection of two objects / area of the smaller one. Masks are compared,
# or boxes if there are no masks.
NMS_IOS_THR = 0.5
# An object counts as cut if its distance to an edge of its tile, but not to the border of the image, is at most MARGIN
# times the tile's side. A cut object is dropped if the box of a complete object covers at least the share MAX_COVERED
# of its box. Their classes may differ, since a part of an object may look like another class.
MARGIN, MAX_COVERED = 1 / 64, 0.7


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
