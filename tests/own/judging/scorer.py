"""Score detectors by the matches of boxes. It shares no code with ``mmgcvit.own.judging``, whose scores
it checks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmgcvit.predict.results import Detections

MIN_IOU = 0.5  # of a right detection with its object

Boxes = NDArray[np.floating]  # (n, 4) = [left, top, right, bottom]


@dataclass(frozen=True, eq=False)
class Objects:
    """The true objects of a picture."""

    labels: NDArray[np.int64]  # (n,), class indices
    boxes: Boxes


@dataclass(frozen=True)
class Counts:
    """How many objects there are, how many detections, and how many of these are right."""

    objects: int
    found: int
    right: int

    @property
    def f1(self) -> float:
        """F1, 0 without objects and detections."""
        return 2 * self.right / max(self.objects + self.found, 1)


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """The detections of a class in all pictures."""

    num_objects: int
    scores: NDArray[np.float64]  # (m,)
    is_right: NDArray[np.bool_]  # (m,)

    def count(self, threshold: float) -> Counts:
        """Count the detections of at least this score."""
        is_kept = self.scores >= np.float32(threshold)  # scores are float32, as in predict
        return Counts(self.num_objects, int(is_kept.sum()), int(self.is_right[is_kept].sum()))


def compute_ious(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return the IoU (n, m) of each of n boxes with each of m boxes."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = (high - low).clip(min=0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1] - common
    return common / np.maximum(union, 1e-9)


def match_boxes(found: Boxes, scores: NDArray[np.floating], true: Boxes) -> NDArray[np.bool_]:
    """Return which detections of a class are right, (n,).

    In order of score, a detection takes the free object with which it has the highest IoU, if that is
    at least :data:`MIN_IOU`.
    """
    ious = compute_ious(found, true)
    is_right = np.zeros(len(found), bool)
    for index in np.argsort(-scores, kind='stable'):
        if ious[index].max(initial=0) >= MIN_IOU:
            is_right[index] = True
            ious[:, ious[index].argmax()] = 0
    return is_right


def match_class(
    predictions: Sequence[Detections], truths: Sequence[Objects], label: int
) -> ClassMatches:
    """Match the detections of a class in all pictures."""
    num_objects = 0
    scores = []
    is_right = []
    for prediction, truth in zip(predictions, truths, strict=True):
        is_found = prediction.labels == label
        true = truth.boxes[truth.labels == label]
        num_objects += len(true)
        scores.append(prediction.scores[is_found])
        is_right.append(match_boxes(prediction.boxes[is_found], scores[-1], true))
    return ClassMatches(num_objects, np.concatenate(scores), np.concatenate(is_right))


def add_counts(counts: Iterable[Counts]) -> Counts:
    """Return the counts of all classes together."""
    rows = [(each.objects, each.found, each.right) for each in counts]
    objects, found, right = np.sum(rows, 0).tolist()
    return Counts(objects, found, right)


def find_best_threshold(classes: Sequence[ClassMatches]) -> float:
    """Return the score that is the threshold with the highest F1 of all objects of these classes."""
    scores = np.unique(np.concatenate([each.scores for each in classes]))
    f1 = [add_counts(each.count(score) for each in classes).f1 for score in scores]
    return float(scores[int(np.argmax(f1))])
