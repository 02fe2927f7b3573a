"""Measure how uncertain a model is about a picture: how near its scores are to where they would
decide otherwise, and how much its prediction changes if the picture is mirrored.

Both are from 0 (certain) to 1. What they are is written at the class of each task.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...host.tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from ...predict.blending import segment_in_tiles
from ...predict.detector import Detector
from ...predict.predictor import Predictor
from ...predict.results import Classification, Detections
from ...predict.segmentor import Segmentor
from ..judging.matches import match_objects

# Detections with a lower score say nothing about a picture: mmdet's detectors return them anyway.
MIN_SCORE = 0.05

F = TypeVar('F')  # what a model finds in an image, of which its uncertainty is read


@dataclass(frozen=True)
class Uncertainty:
    """How uncertain a model is about a picture. All numbers are from 0 to 1."""

    nearness: float  # of the scores to where they would decide otherwise
    # How much the prediction changes if the picture is mirrored, or None if it must not be
    change: float | None

    @property
    def overall(self) -> float:
        """The mean of both, or the only one."""
        if self.change is None:
            return self.nearness
        return (self.nearness + self.change) / 2


class UncertaintyMeter(ABC, Generic[F]):
    """Measure the uncertainty of a model of one task."""

    def __init__(self, model: Predictor[Any]):
        self.model = model

    def measure(self, image: NDArray[np.uint8], with_mirrored: bool) -> Uncertainty:
        """Measure the uncertainty about an image (height, width, 3) in BGR order.

        Raise a UserError if the model fails on it.
        """
        found = self.find(image)
        change = None
        if with_mirrored:
            mirrored = self.mirror(self.find(image[:, ::-1].copy()), image.shape[1])
            change = self.compare(found, mirrored)
        return Uncertainty(self.measure_nearness(found), change)

    @abstractmethod
    def find(self, image: NDArray[np.uint8]) -> F:
        """Predict an image (height, width, 3) in BGR order."""

    @abstractmethod
    def mirror(self, found: F, width: int) -> F:
        """Return what was found in the mirror image of an image as it is in the image itself."""

    @abstractmethod
    def measure_nearness(self, found: F) -> float:
        """Return how near the scores are to where they would decide otherwise, from 0 to 1."""

    @abstractmethod
    def compare(self, found: F, mirrored: F) -> float:
        """Return how much two predictions of one image differ, from 0 to 1."""


class DetectionMeter(UncertaintyMeter[Detections]):
    """For a detector.

    Nearness is that of its most uncertain object: 1 at the confidence threshold of its class, and
    falling in a straight line to 0 at the scores 0 and 1. The change is the share of the objects
    above their thresholds that only one of both predictions has, at an IoU of boxes of 0.5.
    """

    def find(self, image: NDArray[np.uint8]) -> Detections:
        assert isinstance(self.model, Detector)  # as METERS has it
        # Masks are not needed, so they are encoded, which takes less memory.
        candidates = replace(self.model, score_thr=MIN_SCORE, class_score_thr={}, max_mask_bytes=0)
        (outcome,) = candidates.predict_batch([image])
        return replace(outcome.get('the picture'), masks=None)

    def mirror(self, found: Detections, width: int) -> Detections:
        boxes = found.boxes.copy()
        boxes[:, [0, 2]] = width - found.boxes[:, [2, 0]]
        return replace(found, boxes=boxes)

    def measure_nearness(self, found: Detections) -> float:
        thresholds = np.array(self.model.thresholds.list_by_class(self.model.classes))[found.labels]
        scores = found.scores.astype(np.float64)
        below = scores / np.maximum(thresholds, MIN_SCORE)
        above = (1 - scores) / np.maximum(1 - thresholds, MIN_SCORE)
        nearness = np.where(scores < thresholds, below, above)
        return float(np.clip(nearness, 0, 1).max(initial=0))

    def compare(self, found: Detections, mirrored: Detections) -> float:
        first = found.apply_thresholds(self.model.thresholds)
        second = mirrored.apply_thresholds(self.model.thresholds)
        pairs = match_objects(first, second).pairs
        both = int(np.count_nonzero(first.labels[pairs[:, 0]] == second.labels[pairs[:, 1]]))
        either = len(first) + len(second) - both
        return 1 - both / either if either else 0.0


@dataclass(frozen=True)
class SegmentedPicture:
    """The class of each pixel, and how near the scores of the pixels are to those of other classes."""

    label_map: NDArray[np.int32]  # (height, width)
    nearness: float  # the mean of the pixels


class SegmentationMeter(UncertaintyMeter[SegmentedPicture]):
    """For a segmentor.

    Nearness is the mean over the pixels of 1 minus the difference of the two highest probabilities
    of classes. The change is the share of pixels with another class. Large pictures are predicted
    in the tiles of the model, as all commands predict them.
    """

    def find(self, image: NDArray[np.uint8]) -> SegmentedPicture:
        model = cast(Segmentor, self.model)
        sums: list[float] = []

        def choose_classes(logits: Tensor) -> Tensor:
            """Choose the classes of some rows of the picture, and measure them too."""
            sums.append(measure_pixels(logits).sum(dtype=torch.float64).item())
            return model.choose_classes(logits)

        height, width = image.shape[:2]
        label_map = segment_in_tiles(
            image,
            side=self.model.tiles or max(height, width),
            tiles_per_batch=self.model.tiles_per_batch,
            compute_logits=model.compute_logits,
            choose_classes=choose_classes,
        )
        return SegmentedPicture(label_map, sum(sums) / (height * width))

    def mirror(self, found: SegmentedPicture, width: int) -> SegmentedPicture:
        return replace(found, label_map=found.label_map[:, ::-1])

    def measure_nearness(self, found: SegmentedPicture) -> float:
        return found.nearness

    def compare(self, found: SegmentedPicture, mirrored: SegmentedPicture) -> float:
        return float((found.label_map != mirrored.label_map).mean())


def measure_pixels(logits: Tensor) -> Tensor:
    """Return for each pixel 1 minus the difference of its two highest probabilities, (height,
    width), by the logits (classes, height, width).

    With a single channel, which stands for two classes, they are probabilities, as mmseg returns
    them.
    """
    if len(logits) == 1:
        return 1 - (2 * logits[0] - 1).abs()
    first, second = logits.softmax(0).topk(2, 0).values
    return 1 - (first - second)


class ClassificationMeter(UncertaintyMeter[Classification]):
    """For a classifier.

    Nearness is 1 minus the difference of the two highest scores. The change is half the sum of the
    differences of the scores of all classes.
    """

    def find(self, image: NDArray[np.uint8]) -> Classification:
        (outcome,) = self.model.predict_batch([image])
        return outcome.get('the picture')

    def mirror(self, found: Classification, width: int) -> Classification:
        return found

    def measure_nearness(self, found: Classification) -> float:
        highest = np.sort(found.scores)[::-1]
        return float(1 - (highest[0] - highest[1])) if len(highest) > 1 else 0.0

    def compare(self, found: Classification, mirrored: Classification) -> float:
        return float(np.abs(found.scores - mirrored.scores).sum() / 2)


METERS: dict[str, type[UncertaintyMeter[Any]]] = {
    DETECTION.name: DetectionMeter,
    SEGMENTATION.name: SegmentationMeter,
    CLASSIFICATION.name: ClassificationMeter,
}
