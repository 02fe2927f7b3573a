"""What a model predicts: plain values (NumPy arrays, names, numbers), and as JSON, in COCO's format for results."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..datasets.classes import coco_categories
from ..errors import UserError


class Part(NamedTuple):
    """The part of a mask that holds the object, (height, width) bool, and where its corner lies in the image."""

    mask: np.ndarray
    left: int
    top: int

    @classmethod
    def of(cls, mask: np.ndarray, left: int = 0, top: int = 0) -> 'Part':
        """A copy of it, of a mask whose own corner lies there; of (0, 0) pixels where the mask holds nothing."""
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        return cls(mask[y : y + height, x : x + width].copy(), left + x, top + y)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.left + self.mask.shape[1], self.top + self.mask.shape[0]

    def place(self, left: int = 0, top: int = 0) -> tuple[slice, slice]:
        """Its rows and columns, counted from a point."""
        return np.s_[self.top - top : self.box[3] - top, self.left - left : self.box[2] - left]


@dataclass(frozen=True)
class Masks(Sequence):
    """Masks (height, width) bool of a large image: the parts with objects are held, a mask is made when asked for."""

    parts: Sequence[Part]
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self), *self.size

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> np.ndarray:
        whole = np.zeros(self.size, bool)
        whole[self.parts[number].place()] = self.parts[number].mask
        return whole


@dataclass(frozen=True)
class Detections:
    """The objects that a detector finds in an image, the surest first.

    Attributes:
        boxes: (n, 4) float32, left, top, right, bottom in pixels of the image.
        scores: (n,) float32, from 0 to 1.
        labels: (n,) int64, numbers of classes, from 0.
        class_names: The n names of these.
        masks: (n, height, width) bool, None where the model predicts boxes only. Of an image that was predicted in
            tiles :class:`Masks`, of which each is (height, width) when it is asked for.
        ids: (n,) int64, which object of the video each is, from 0; None where none are tracked.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    masks: np.ndarray | Masks | None = None
    ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def part(self, number: int) -> Part:
        """The part of an object's mask that holds it."""
        return self.masks.parts[number] if isinstance(self.masks, Masks) else Part.of(self.masks[number])


@dataclass(frozen=True, kw_only=True)
class Panoptic(Detections):
    """What each pixel of an image belongs to, one thing or stuff; and a detector's objects.

    Attributes:
        segment_map: (height, width) int32, numbers of segments from 1; 0 for pixels of none.
        segment_labels: (n,) int64, their classes, from 0.
        segment_names: The n names of these.
        segment_areas: (n,) int64, how many pixels each has.
    """

    segment_map: np.ndarray
    segment_labels: np.ndarray
    segment_names: list[str]
    segment_areas: np.ndarray


@dataclass(frozen=True)
class Segmentation:
    """The class of every pixel of an image.

    Attributes:
        label_map: (height, width) int32, numbers of classes, from 0.
        labels: (n,) int64, those that occur, the largest area first.
        class_names: The n names of these.
        areas: (n,) int64, how many pixels each has.
    """

    label_map: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    areas: np.ndarray


@dataclass(frozen=True)
class Classification:
    """The class of an image.

    Attributes:
        label: The number of the likeliest class, from 0.
        class_name: Its name.
        score: Its score, from 0 to 1.
        scores: (classes,) float32, the scores of all classes.
    """

    label: int
    class_name: str
    score: float
    scores: np.ndarray


Prediction = Detections | Segmentation | Classification
# So many of a classifier's classes are written, the likeliest first.
MOST_CLASSES = 5


def categories_of(task: str, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The categories that records refer to by ``category_id``, in the order of the classes' numbers.

    A detector's are COCO's own ids where its classes are COCO's, else numbers from 1, as annotation tools count; of the
    other tasks the numbers of the classes, from 0, as label maps have them.
    """
    if task == 'detection':
        return [{'id': category['id'], 'name': category['name']} for category in coco_categories(classes)]
    return [{'id': number, 'name': name} for number, name in enumerate(classes)]


def records_of(prediction: Prediction, categories: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is written of a prediction for one image: an object, segment, class of pixels or likely class each.

    ``bbox`` is left, top, width, height in pixels; ``segmentation`` a run-length encoded mask; ``area`` its pixels.
    """

    def named(label: int) -> dict[str, Any]:
        category = categories[label] if label < len(categories) else {'id': int(label), 'name': f'class {label}'}
        return {'category_id': category['id'], 'category_name': category['name']}

    def region(mask: np.ndarray, label: int, area: int) -> dict[str, Any]:
        return {**named(label), 'area': int(area), 'segmentation': run_lengths(Part.of(mask), mask.shape)}

    if isinstance(prediction, Classification):
        likeliest = np.argsort(-prediction.scores, kind='stable')[:MOST_CLASSES]
        return [{**named(label), 'score': float(prediction.scores[label])} for label in likeliest]
    if isinstance(prediction, Panoptic):
        segments = enumerate(zip(prediction.segment_labels, prediction.segment_areas, strict=True), start=1)
        return [region(prediction.segment_map == number, label, area) for number, (label, area) in segments]
    if isinstance(prediction, Segmentation):
        classes = zip(prediction.labels, prediction.areas, strict=True)
        return [region(prediction.label_map == label, label, area) for label, area in classes]
    records, masks = [], prediction.masks
    for number, (label, score) in enumerate(zip(prediction.labels, prediction.scores, strict=True)):
        left, top, right, bottom = map(float, prediction.boxes[number])
        bbox = [round(value, 2) for value in (left, top, right - left, bottom - top)]
        runs = {} if masks is None else {'segmentation': run_lengths(prediction.part(number), masks.shape[1:])}
        track = {} if prediction.ids is None else {'track_id': int(prediction.ids[number])}
        records.append({**named(label), **track, 'score': float(score), 'bbox': bbox, **runs})
    return records


def run_lengths(part: Part, size: tuple[int, int]) -> dict[str, Any]:
    """A mask of height and width ``size`` as COCO's format has it: ``size`` and compressed ``counts``."""
    try:
        from pycocotools import mask as coco_mask
    except ModuleNotFoundError:
        raise UserError("masks are written by pycocotools, not installed here: 'pip install pycocotools'") from None
    height, width = size
    # COCO counts down the columns: those that have no part of it need not be there.
    columns = np.zeros((height, part.mask.shape[1]), bool)
    columns[part.top : part.box[3]] = part.mask
    changes = part.left * height + np.flatnonzero(np.diff(columns.ravel(order='F'), prepend=False, append=False))
    counts = np.diff(changes[changes < height * width], prepend=0, append=height * width).tolist()
    encoded = coco_mask.frPyObjects({'size': size, 'counts': counts}, height, width)
    return {'size': list(size), 'counts': encoded['counts'].decode('ascii')}
