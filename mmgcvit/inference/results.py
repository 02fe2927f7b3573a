"""Represent predictions as NumPy arrays, and convert them to JSON records in COCO's results format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..datasets.records import make_coco_categories
from ..errors import OptionalModule, UserError, check_installed

sv = OptionalModule('supervision', 'to_supervision()')

MAX_CLASSES_WRITTEN = 5  # in a classifier's JSON records of an image: those with the highest scores


@dataclass(frozen=True)
class Detections:
    """Detections of an image, by descending score."""

    boxes: np.ndarray  # (n, 4) float32 = [left, top, right, bottom] in pixels of the image
    scores: np.ndarray  # (n,) float32, from 0 to 1
    labels: np.ndarray  # (n,) int64, class indices, counted from 0
    class_names: list[str]  # n
    # (n, height, width) bool, or None if the model predicts only boxes. If the image was predicted
    # in tiles, a CompactMask, which decodes masks[i] to (height, width) bool on access.
    masks: np.ndarray | sv.CompactMask | None = None
    ignored: Detections | None = (
        None  # only of ground truth: objects that are neither trained nor scored
    )

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, indices: np.ndarray) -> Detections:
        """Return the detections with these indices (k,)."""
        arrays = {name: getattr(self, name) for name in ('boxes', 'scores', 'labels', 'masks')}
        selected = {
            name: None if values is None else values[indices] for name, values in arrays.items()
        }
        return replace(self, class_names=[self.class_names[index] for index in indices], **selected)

    def to_supervision(self) -> sv.Detections:
        """Convert to ``supervision.Detections``, with the class names in ``data['class_name']``."""
        return sv.Detections(
            xyxy=self.boxes,
            mask=self.masks,
            confidence=self.scores,
            class_id=self.labels,
            data={'class_name': np.array(self.class_names, dtype=str)},
        )


@dataclass(frozen=True)
class Segmentation:
    """The class of each pixel of an image."""

    label_map: (
        np.ndarray
    )  # (height, width) integers, class indices, counted from 0; in ground truth also ignore index
    labels: np.ndarray  # (n,) int64, the indices of the classes that occur, by descending area
    class_names: list[str]  # n
    areas: np.ndarray  # (n,) int64, the number of pixels of each of these classes

    def to_supervision(self) -> sv.Detections:
        """Convert to ``supervision.Detections``, with a mask and its bounding box for each class."""
        masks = np.array([self.label_map == label for label in self.labels]).reshape(
            -1, *self.label_map.shape
        )
        data = {'class_name': np.array(self.class_names, dtype=str)}
        return sv.Detections(
            xyxy=sv.mask_to_xyxy(masks), mask=masks, class_id=self.labels, data=data
        )


def make_segmentation(label_map: np.ndarray, classes: Sequence[str]) -> Segmentation:
    """Find the classes and areas of a segmentation map.

    Labels that are no class index, such as 255, are left out.
    """
    labels, areas = np.unique(label_map[label_map < len(classes)], return_counts=True)
    order = np.argsort(-areas, kind='stable')
    labels = labels[order].astype(np.int64)
    return Segmentation(label_map, labels, [classes[label] for label in labels], areas[order])


@dataclass(frozen=True)
class Classification:
    """The highest-scoring class of an image."""

    label: int  # index of the class, counted from 0
    class_name: str
    score: float  # from 0 to 1
    scores: np.ndarray  # (classes,) float32, of all classes


Prediction = Detections | Segmentation | Classification


@dataclass(frozen=True)
class Outcome:
    """The prediction of an image, or the error that prevented it."""

    prediction: Prediction | None = None
    error: UserError | None = None

    def get(self, name: object) -> Prediction:
        """Return the prediction. If there is none, raise the error with the image's name before it."""
        if self.error is not None:
            raise UserError(f'{name}: {self.error}')
        return self.prediction


def list_categories(task: str, classes: Sequence[str]) -> list[dict[str, Any]]:
    """List the id and the name of each class.

    Ids are COCO's or start at 1 for detectors, and at 0 for other tasks.
    """
    if task == 'detection':
        return make_coco_categories(classes)
    return [{'id': label, 'name': name} for label, name in enumerate(classes)]


def make_records(
    prediction: Prediction, categories: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Make the JSON records of an image: one for each object, segmented class, or highest-scoring
    class.

    ``bbox`` is [left, top, width, height] in pixels. ``segmentation`` is a mask as RLE. ``area``,
    only for a segmented class, is its number of pixels.
    """

    def get_category(label: int) -> dict[str, Any]:
        return {'category_id': categories[label]['id'], 'category_name': categories[label]['name']}

    if isinstance(prediction, Classification):
        highest = np.argsort(-prediction.scores, kind='stable')[:MAX_CLASSES_WRITTEN]
        return [
            {**get_category(label), 'score': float(prediction.scores[label])} for label in highest
        ]
    if isinstance(prediction, Segmentation):
        label_map = prediction.label_map
        return [
            {**get_category(label), 'area': area, 'segmentation': encode_rle(label_map == label)}
            for label, area in zip(prediction.labels, prediction.areas.tolist(), strict=True)
        ]
    records = []
    for index, (label, box) in enumerate(
        zip(prediction.labels, prediction.boxes.astype(float), strict=True)
    ):
        record = {**get_category(label), 'score': float(prediction.scores[index])}
        record['bbox'] = np.concatenate([box[:2], box[2:] - box[:2]]).round(2).tolist()
        if prediction.masks is not None:
            record['segmentation'] = encode_rle(prediction.masks[index])
        records.append(record)
    return records


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """Encode a mask (height, width) bool in COCO's compressed RLE."""
    check_installed('writing masks', 'pycocotools')
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {'size': list(mask.shape), 'counts': encoded['counts'].decode('ascii')}
