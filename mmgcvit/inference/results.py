"""Represent predictions as NumPy arrays, and convert them to JSON records in COCO's results format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..datasets.classes import make_coco_categories
from ..errors import OptionalModule, UserError, check_installed

sv = OptionalModule('supervision', 'to_supervision()')

# Maximum number of classes (those with the highest scores) in a classifier's JSON records of an image.
MAX_CLASSES_WRITTEN = 5


@dataclass(frozen=True)
class Detections:
    """Detections of an image, by descending score.

    Attributes:
        boxes: (n, 4) float32 = [left, top, right, bottom] in pixels of the image.
        scores: (n,) float32, from 0 to 1.
        labels: (n,) int64, class indices, counted from 0.
        class_names: The n names of the labels.
        masks: (n, height, width) bool, or None if the model predicts only boxes. If the image was predicted in tiles, a
            ``supervision.CompactMask``, which decodes ``masks[i]`` to (height, width) bool on access.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    masks: np.ndarray | sv.CompactMask | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, indices: np.ndarray) -> Detections:
        """Return the detections with these indices (k,)."""
        arrays = {name: getattr(self, name) for name in ('boxes', 'scores', 'labels', 'masks')}
        selected = {name: None if values is None else values[indices] for name, values in arrays.items()}
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
    """The class of each pixel of an image.

    Attributes:
        label_map: (height, width) integers, class indices, counted from 0. In ground truth, also the ignore index.
        labels: (n,) int64, the indices of the classes that occur. In predictions they are ordered by descending area.
        class_names: The n names of these classes.
        areas: (n,) int64, the number of pixels of each of these classes.
    """

    label_map: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    areas: np.ndarray

    def to_supervision(self) -> sv.Detections:
        """Convert to ``supervision.Detections``, with a mask and its bounding box for each class."""
        masks = np.array([self.label_map == label for label in self.labels]).reshape(-1, *self.label_map.shape)
        data = {'class_name': np.array(self.class_names, dtype=str)}
        return sv.Detections(xyxy=sv.mask_to_xyxy(masks), mask=masks, class_id=self.labels, data=data)


@dataclass(frozen=True)
class Classification:
    """The class of an image.

    Attributes:
        label: The index of the highest-scoring class, counted from 0.
        class_name: The name of this class.
        score: The score of this class, from 0 to 1.
        scores: (classes,) float32, the scores of all classes.
    """

    label: int
    class_name: str
    score: float
    scores: np.ndarray


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
    """List the id and the name of each class, in the order of the classes. ``category_id`` in JSON records is this id.

    Detectors with COCO's 80 classes have COCO's ids. The ids of other detectors start at 1. The ids of segmentation
    and classification models start at 0, as the values of segmentation maps do.
    """
    if task == 'detection':
        return make_coco_categories(classes)
    return [{'id': label, 'name': name} for label, name in enumerate(classes)]


def make_records(prediction: Prediction, categories: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make the JSON records of an image: one for each object, segmented class, or highest-scoring class.

    ``bbox`` is [left, top, width, height] in pixels. ``segmentation`` is a mask as RLE. ``area``, only for a segmented
    class, is its number of pixels.
    """

    def get_category(label: int) -> dict[str, Any]:
        return {'category_id': categories[label]['id'], 'category_name': categories[label]['name']}

    if isinstance(prediction, Classification):
        highest = np.argsort(-prediction.scores, kind='stable')[:MAX_CLASSES_WRITTEN]
        return [{**get_category(label), 'score': float(prediction.scores[label])} for label in highest]
    if isinstance(prediction, Segmentation):
        label_map = prediction.label_map
        return [
            {**get_category(label), 'area': area, 'segmentation': encode_rle(label_map == label)}
            for label, area in zip(prediction.labels, prediction.areas.tolist(), strict=True)
        ]
    records, masks = [], prediction.masks
    for index, label in enumerate(prediction.labels):
        left, top, right, bottom = map(float, prediction.boxes[index])
        record = get_category(label)
        record['score'] = float(prediction.scores[index])
        record['bbox'] = [round(value, 2) for value in (left, top, right - left, bottom - top)]
        if masks is not None:
            record['segmentation'] = encode_rle(masks[index])
        records.append(record)
    return records


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """Encode a mask (height, width) bool in COCO's compressed RLE."""
    check_installed('writing masks', 'pycocotools')
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {'size': list(mask.shape), 'counts': encoded['counts'].decode('ascii')}
