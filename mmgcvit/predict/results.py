"""Represent predictions as NumPy arrays: count them, and convert them to JSON records in COCO's
results format.

What differs by task is in a subclass of :class:`Prediction`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import MANY, UserError, format_count, shorten
from ..host.files import normalise
from ..ops.requirements import check_installed
from ..ops.rle import RLE, encode_crop, encode_rle
from .thresholds import ScoreThr, ScoreThresholds, check_range

if TYPE_CHECKING:
    import supervision

MAX_CLASSES_WRITTEN = 5  # in a classifier's JSON records of an image: those with the highest scores

# (n, height, width) bool. A CompactMask decodes masks[i] to (height, width) bool on access.
Masks: TypeAlias = 'NDArray[np.bool_] | supervision.CompactMask'
Record = dict[str, Any]  # of JSON


class Prediction(ABC):
    """What a model predicts for an image, or its ground truth. Each task has a subclass."""

    # Whether there are as many objects as the model returns at most, for an image or a tile
    is_limited: bool = False

    def get_label_map(self) -> NDArray[np.integer[Any]] | None:
        """Return the class index of each pixel (height, width), or None if the task has none."""
        return None

    @property
    def size(self) -> tuple[int, ...] | None:
        """The (height, width) of the image that was predicted, or None if the prediction does not
        tell.
        """
        return None

    @property
    @abstractmethod
    def max_label(self) -> int:
        """The highest class index, 0 if there is none."""

    @abstractmethod
    def count_classes(self) -> Counter[int]:
        """Count what the task counts (:attr:`.Task.counted`) by class index."""

    @abstractmethod
    def make_records(self, categories: Sequence[Record]) -> list[Record]:
        """Make the JSON records of an image. ``categories`` has an id and a name for each class."""


@dataclass(frozen=True, eq=False)
class DetectedObject:
    """One of :class:`Detections`."""

    box: NDArray[np.float32]  # (4,)
    score: float
    label: int
    class_name: str
    mask: NDArray[np.bool_] | None  # (height, width)


@dataclass(frozen=True)
class Detections(Prediction):
    """Detections of an image, by descending score."""

    boxes: NDArray[np.float32]  # (n, 4) = [left, top, right, bottom] in pixels of the image
    scores: NDArray[np.float32]  # (n,), from 0 to 1
    labels: NDArray[np.int64]  # (n,), class indices, counted from 0
    classes: Sequence[str]  # names of all classes that the model has
    # None if the model predicts only boxes. A CompactMask if the image was predicted in tiles, or
    # if an array would need more than Detector.max_mask_bytes
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

    def filter(
        self, score_thr: ScoreThr = 0.0, classes: Collection[str] | None = None
    ) -> Detections:
        """Return the detections with at least this score and, if they are given, of these
        classes. A mapping has scores by class name, and 0 for the classes that it does not name. A
        name stands for all classes that have it, an index for one.

        Raise a UserError for a class that the model does not have, and for a score that is not a
        number from 0 to 1.
        """
        if isinstance(score_thr, Mapping):
            thresholds = ScoreThresholds(0.0, score_thr)
            thresholds.check(self.classes)
            found = self.apply_thresholds(thresholds)
        else:
            check_range('score_thr', score_thr)
            found = self.select(self.scores >= score_thr)
        if classes is None:
            return found
        names = [classes] if isinstance(classes, str | int) else classes
        return found.select(np.isin(found.labels, find_labels(names, self.classes)))

    def apply_thresholds(self, thresholds: ScoreThresholds) -> Detections:
        """Return the detections with at least the threshold of their class."""
        # The dtype of scores, so that a score equal to its threshold is kept
        by_class = np.array(thresholds.list_by_class(self.classes), np.float32)
        return self.select(self.scores >= by_class[self.labels])

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

    @property
    def size(self) -> tuple[int, ...] | None:
        return None if self.masks is None else self.masks.shape[1:]

    @property
    def max_label(self) -> int:
        return int(np.max(self.labels, initial=0))

    def count_classes(self) -> Counter[int]:
        """Count the objects by class index."""
        return Counter(self.labels.tolist())

    def make_records(self, categories: Sequence[Record]) -> list[Record]:
        """Make a record for each object. ``bbox`` is [left, top, width, height] in pixels, and
        ``segmentation`` a mask as RLE.
        """
        names = name_categories(categories)
        masks = None if self.masks is None else encode_masks(self.masks)
        records = []
        for index, label in enumerate(self.labels.tolist()):
            box = self.boxes[index].astype(float)
            box[2:] -= box[:2]
            score = self.scores[index].item()
            record = names[label] | {'score': score, 'bbox': box.round(2).tolist()}
            if masks is not None:
                record['segmentation'] = masks[index]
            records.append(record)
        return records

    def to_supervision(self) -> supervision.Detections:
        """Convert to ``supervision.Detections``, with the class names in ``data['class_name']``."""
        check_installed('to_supervision()', 'supervision')
        import supervision as sv

        data: dict[str, Any] = {'class_name': np.array(self.class_names, str)}
        return sv.Detections(
            self.boxes,
            mask=self.masks,
            confidence=self.scores,
            class_id=self.labels,
            data=data,
        )


@dataclass(frozen=True)
class Segmentation(Prediction):
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

    def get_label_map(self) -> NDArray[np.integer[Any]]:
        return self.label_map

    @property
    def size(self) -> tuple[int, ...]:
        return self.label_map.shape

    @property
    def max_label(self) -> int:
        return int(np.max(self.labels, initial=0))

    def count_classes(self) -> Counter[int]:
        """Count the pixels by class index."""
        return Counter(dict(zip(self.labels, self.areas, strict=True)))

    def make_records(self, categories: Sequence[Record]) -> list[Record]:
        """Make a record for each class that occurs. ``segmentation`` is its mask as RLE, and
        ``area`` its number of pixels.
        """
        names = name_categories(categories)
        records = []
        for label, area in zip(self.labels, self.areas.tolist(), strict=True):
            mask = encode_rle(self.label_map == label)
            records.append(names[label] | {'area': area, 'segmentation': mask})
        return records

    def to_supervision(self) -> supervision.Detections:
        """Convert to ``supervision.Detections``, with a mask and its box for each class."""
        check_installed('to_supervision()', 'supervision')
        import supervision as sv

        masks = self.label_map == self.labels[:, None, None]
        data: dict[str, Any] = {'class_name': np.array(self.class_names, str)}
        return sv.Detections(sv.mask_to_xyxy(masks), masks, class_id=self.labels, data=data)


def make_segmentation(label_map: NDArray[np.integer[Any]], classes: Sequence[str]) -> Segmentation:
    """Find the classes and areas of a segmentation map.

    Labels that are not class indices, such as 255, are left out.
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
class Classification(Prediction):
    """The highest-scoring class of an image."""

    label: int  # index of the class, counted from 0
    class_name: str
    score: float  # from 0 to 1
    scores: NDArray[np.float32]  # (classes,), of all classes

    def __repr__(self) -> str:
        return f'Classification({self.class_name}, score {self.score:.2f})'

    @property
    def max_label(self) -> int:
        return self.label

    def count_classes(self) -> Counter[int]:
        """Return 1 for the class of the image."""
        return Counter([self.label])

    def make_records(self, categories: Sequence[Record]) -> list[Record]:
        """Make a record for each of the highest-scoring classes."""
        names = name_categories(categories)
        labels = np.argsort(-self.scores, kind='stable')[:MAX_CLASSES_WRITTEN]
        return [names[label] | {'score': float(self.scores[label])} for label in labels]


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


def find_labels(names: Collection[str | int], classes: Sequence[str]) -> list[int]:
    """Return the indices of the classes with these names, in any Unicode form, or with these
    indices, in ascending order.

    A name stands for all classes that have it. Raise a UserError if there is no such class.
    """
    labels = set()
    for name in names:
        found = [label for label, own in enumerate(classes) if own == name]
        if not found and isinstance(name, str):
            found = [
                label for label, own in enumerate(classes) if normalise(own) == normalise(name)
            ]
        if not found and str(name).isdecimal() and int(name) < len(classes):
            found = [int(name)]
        if not found:
            raise UserError(
                f'the model has no class {name}. Its classes are {shorten(classes, MANY)}'
            )
        labels.update(found)
    return sorted(labels)


def name_categories(categories: Sequence[Record]) -> list[Record]:
    """Return what the record of a prediction says about its class, for each class."""
    return [
        {'category_id': category['id'], 'category_name': category['name']}
        for category in categories
    ]


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
