"""Represent predictions as NumPy arrays; convert them to JSON records in COCO's results format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..datasets.records import make_coco_categories
from ..errors import MANY, Supervision, UserError, format_count, shorten
from ..rle import RLE, encode_crop, encode_rle

if TYPE_CHECKING:
    import supervision

sv = Supervision('to_supervision()')

MAX_CLASSES_WRITTEN = 5  # in a classifier's JSON records of an image: those with the highest scores


# (n, height, width) bool. A CompactMask decodes masks[i] to (height, width) bool on access.
Masks: TypeAlias = 'NDArray[np.bool_] | supervision.CompactMask'


@dataclass(frozen=True, eq=False)
class DetectedObject:
    """One of :class:`Detections`."""

    box: NDArray[np.float32]  # (4,)
    score: float
    label: int
    class_name: str
    mask: NDArray[np.bool_] | None  # (height, width)


@dataclass(frozen=True)
class Detections:
    """Detections of an image, by descending score."""

    boxes: NDArray[np.float32]  # (n, 4) = [left, top, right, bottom] in pixels of the image
    scores: NDArray[np.float32]  # (n,), from 0 to 1
    labels: NDArray[np.int64]  # (n,), class indices, counted from 0
    classes: Sequence[str]  # names of all classes that the model has
    # None if the model predicts only boxes. A CompactMask if the image was predicted in tiles, or if
    # an array would need more than Predictor.max_mask_bytes
    masks: Masks | None = None
    # Only of ground truth: objects that are neither trained nor scored
    ignored: Detections | None = None
    # Whether there are as many as the model returns at most, for an image or a tile
    is_limited: bool = False

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def class_names(self) -> list[str]:
        """The class name of each detection (n)."""
        return [self.classes[label] for label in self.labels]

    def __iter__(self) -> Iterator[DetectedObject]:
        for index, name in enumerate(self.class_names):
            yield DetectedObject(
                box=self.boxes[index],
                score=self.scores[index].item(),
                label=self.labels[index].item(),
                class_name=name,
                mask=None if self.masks is None else self.masks[index],
            )

    def __repr__(self) -> str:
        text = format_count(len(self), 'object')
        if len(self):
            counts = Counter(self.class_names).most_common()
            text += f': {shorten([f"{count} {name}" for name, count in counts])}'
            text += f'; scores {self.scores.min():.2f} to {self.scores.max():.2f}'
        if self.is_limited:
            text += '; as many as the model returns'
        return f'Detections({text})'

    def filter(self, score_thr: float = 0.0, classes: Collection[str] | None = None) -> Detections:
        """Return the detections with at least this score and, if they are given, of these
        classes.

        Raise a UserError for a class that the model does not have.
        """
        is_kept = self.scores >= score_thr
        if classes is not None:
            names = [classes] if isinstance(classes, str) else classes
            is_kept &= np.isin(self.labels, [find_label(name, self.classes) for name in names])
        return self.select(is_kept)

    def select(self, indices: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Detections:
        """Return the detections with these indices (k,), of a slice, or where a bool array (n,) is
        True.
        """
        return replace(
            self,
            boxes=self.boxes[indices],
            scores=self.scores[indices],
            labels=self.labels[indices],
            masks=None if self.masks is None else self.masks[indices],
        )

    def to_supervision(self) -> supervision.Detections:
        """Convert to ``supervision.Detections``, with the class names in ``data['class_name']``."""
        data = {'class_name': np.array(self.class_names, str)}
        return sv.Detections(
            self.boxes,
            mask=self.masks,
            confidence=self.scores,
            class_id=self.labels,
            data=data,
        )


@dataclass(frozen=True)
class Segmentation:
    """The class of each pixel of an image."""

    # (height, width) integers, class indices, counted from 0; in ground truth also ignore index
    label_map: NDArray[np.integer[Any]]
    labels: NDArray[np.int64]  # (n,), the indices of the classes that occur, by descending area
    class_names: list[str]  # n
    areas: NDArray[np.int64]  # (n,), the number of pixels of each of these classes

    def __repr__(self) -> str:
        rows = zip(self.areas / self.label_map.size, self.class_names, strict=True)
        height, width = self.label_map.shape
        text = shorten([f'{share:.1%} {name}' for share, name in rows])
        return f'Segmentation({width} x {height} px: {text})'

    def to_supervision(self) -> supervision.Detections:
        """Convert to ``supervision.Detections``, with a mask and its box for each class."""
        masks = self.label_map == self.labels[:, None, None]
        data = {'class_name': np.array(self.class_names, str)}
        return sv.Detections(sv.mask_to_xyxy(masks), masks, class_id=self.labels, data=data)


def make_segmentation(label_map: NDArray[np.integer[Any]], classes: Sequence[str]) -> Segmentation:
    """Find the classes and areas of a segmentation map.

    Labels that are no class index, such as 255, are left out.
    """
    labels, areas = np.unique(label_map[label_map < len(classes)], return_counts=True)
    order = np.argsort(-areas, kind='stable')
    labels = labels[order].astype(np.int64)
    return Segmentation(
        label_map=label_map,
        labels=labels,
        class_names=[classes[label] for label in labels],
        areas=areas[order],
    )


@dataclass(frozen=True)
class Classification:
    """The highest-scoring class of an image."""

    label: int  # index of the class, counted from 0
    class_name: str
    score: float  # from 0 to 1
    scores: NDArray[np.float32]  # (classes,), of all classes

    def __repr__(self) -> str:
        return f'Classification({self.class_name}, score {self.score:.2f})'


Record = dict[str, Any]  # of JSON
Prediction = Detections | Segmentation | Classification


P = TypeVar('P', bound=Prediction)


@dataclass(frozen=True, eq=False)
class Outcome(Generic[P]):
    """The prediction of an image, or the error that prevented it."""

    prediction: P | None = None
    error: UserError | None = None

    def get(self, name: object) -> P:
        """Return the prediction, or raise the error with the image's name before it."""
        if self.prediction is None:
            raise UserError(f'{name}: {self.error}') from self.error
        return self.prediction


def find_label(name: str | int, classes: Sequence[str]) -> int:
    """Return the index of the class with this name or index.

    Raise a UserError if there is no such class.
    """
    if name in classes:
        return classes.index(name)
    if str(name).isdecimal() and int(name) < len(classes):
        return int(name)
    raise UserError(f'the model has no class {name}. Its classes are {shorten(classes, MANY)}')


def list_categories(task: str, classes: Sequence[str]) -> list[Record]:
    """List the id and the name of each class.

    Ids are COCO's or start at 1 for detectors, and at 0 for other tasks.
    """
    if task == 'detection':
        return make_coco_categories(classes)
    return [{'id': label, 'name': name} for label, name in enumerate(classes)]


def make_records(prediction: Prediction, categories: Sequence[Record]) -> list[Record]:
    """Make the JSON records of an image: one for each object, segmented class, or highest-scoring
    class.

    ``bbox`` is [left, top, width, height] in pixels. ``segmentation`` is a mask as RLE. ``area``,
    only for a segmented class, is its number of pixels.
    """
    names = [
        {'category_id': category['id'], 'category_name': category['name']}
        for category in categories
    ]
    if isinstance(prediction, Classification):
        labels = np.argsort(-prediction.scores, kind='stable')[:MAX_CLASSES_WRITTEN]
        return [names[label] | {'score': float(prediction.scores[label])} for label in labels]
    records = []
    if isinstance(prediction, Segmentation):
        for label, area in zip(prediction.labels, prediction.areas.tolist(), strict=True):
            mask = encode_rle(prediction.label_map == label)
            records.append(names[label] | {'area': area, 'segmentation': mask})
        return records
    masks = None if prediction.masks is None else encode_masks(prediction.masks)
    for index, label in enumerate(prediction.labels.tolist()):
        box = prediction.boxes[index].astype(float)
        box[2:] -= box[:2]
        score = prediction.scores[index].item()
        record = names[label] | {'score': score, 'bbox': box.round(2).tolist()}
        if masks is not None:
            record['segmentation'] = masks[index]
        records.append(record)
    return records


def encode_masks(masks: Masks) -> list[RLE]:
    """Encode each of n masks in COCO's compressed RLE."""
    if isinstance(masks, np.ndarray):
        return [encode_rle(mask) for mask in masks]
    # A CompactMask has crops, so no mask is decoded to the size of the image.
    corners = masks.offsets.tolist()
    return [
        encode_crop(masks.crop(index), corner=(left, top), size=masks.image_shape)
        for index, (left, top) in enumerate(corners)
    ]
