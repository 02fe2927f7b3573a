"""Find the labels of objects that a detector contradicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...predict.results import Detections
from .detection_curves import drop_ignored
from .matches import MIN_IOU
from .suspects import Box, GivenLabel, ImageLabels, Kind, Suspect

# A detection with a lower IoU with a label is not near it.
NEAR_IOU = 0.1
# A detection is of an object without a label if its IoU with all labels is lower.
FREE_IOU = 0.3


def find_suspect_objects(
    ground_truth: Detections, prediction: Detections, score_thr_by_class: Sequence[float]
) -> ImageLabels:
    """Compare the labels of an image with detections of any score.

    Only detections from their class's confidence threshold on contradict labels, and those below
    it lower the likelihood. A label is swapped if a detection of another class lies on it (IoU of
    at least 0.5) with a higher score than those of its class, misplaced if one of its class lies
    beside it and on no other label, and extra if nothing is on or near it, the less likely the
    higher the scores below the threshold are. A detection beside all labels is a missing one.
    """
    detections = drop_ignored(ground_truth, prediction)
    thresholds = np.array(score_thr_by_class)
    is_sure = detections.scores >= thresholds[detections.labels]  # (m,)
    overlaps = Overlaps(ground_truth, detections, is_sure)
    given = []
    suspects = []
    misplaced = []
    for index, label in enumerate(ground_truth.labels.tolist()):
        given.append(GivenLabel(label, compute_area(ground_truth.boxes[index])))
        contradiction = contradict(index, ground_truth, detections, overlaps)
        if contradiction is None:
            continue
        suspects.append(contradiction.suspect)
        if contradiction.moved is not None:
            misplaced.append(contradiction.moved)
    suspects += find_missing(detections, is_sure, overlaps, misplaced)
    return ImageLabels(given, suspects)


@dataclass(frozen=True)
class Contradiction:
    """What detections say against the label of an object."""

    suspect: Suspect
    moved: int | None = None  # the index of the detection of the object, if its label is misplaced


def contradict(
    index: int, ground_truth: Detections, detections: Detections, overlaps: 'Overlaps'
) -> Contradiction | None:
    """Return what detections say against the label of the object with this index, or None."""
    label = int(ground_truth.labels[index])
    size = compute_area(ground_truth.boxes[index])
    box = round_box(ground_truth.boxes[index])
    is_same = overlaps.is_same[index]
    own = overlaps.find_best(overlaps.is_on[index] & is_same)
    other = overlaps.find_best(overlaps.is_on[index] & ~is_same & overlaps.is_sure)
    beside = overlaps.find_best(overlaps.is_beside[index] & is_same & overlaps.is_sure)
    is_near = overlaps.iou[index] >= NEAR_IOU
    if other.score > max(own.score, beside.score):
        return Contradiction(
            Suspect(
                kind=Kind.SWAPPED,
                given=label,
                found=int(detections.labels[other.index]),
                given_score=own.score,
                found_score=other.score,
                size=size,
                given_box=box,
                found_box=round_box(detections.boxes[other.index]),
            )
        )
    if beside.score > own.score:
        suspect = Suspect(
            kind=Kind.MISPLACED,
            given=label,
            found=label,
            given_score=own.score,
            found_score=beside.score,
            size=size,
            given_box=box,
            found_box=round_box(detections.boxes[beside.index]),
        )
        return Contradiction(suspect, moved=beside.index)
    if (is_near & overlaps.is_sure).any():
        return None
    return Contradiction(
        Suspect(
            kind=Kind.EXTRA,
            given=label,
            found=None,
            given_score=overlaps.find_best(is_near).score,
            found_score=0.0,
            size=size,
            given_box=box,
        )
    )


@dataclass(frozen=True)
class Best:
    """The detection with the highest score among some, or score 0 if there is none."""

    index: int
    score: float


class Overlaps:
    """How n labels and m detections overlap."""

    def __init__(
        self, ground_truth: Detections, detections: Detections, is_sure: NDArray[np.bool_]
    ):
        self.scores = detections.scores
        self.is_sure = is_sure  # (m,), which detections contradict labels
        self.iou = compute_iou(ground_truth.boxes, detections.boxes)  # (n, m)
        self.is_same = ground_truth.labels[:, None] == detections.labels  # of one class
        self.is_on = self.iou >= MIN_IOU
        # Near a label and on none
        self.is_beside = (self.iou >= NEAR_IOU) & ~self.is_on.any(0)

    def find_best(self, is_asked: NDArray[np.bool_]) -> Best:
        """Return the best of the detections where an array (m,) is True."""
        if not is_asked.any():
            return Best(-1, 0.0)
        index = int(np.where(is_asked, self.scores, -1).argmax())
        return Best(index, float(self.scores[index]))


def find_missing(
    detections: Detections,
    is_sure: NDArray[np.bool_],
    overlaps: Overlaps,
    misplaced: list[int],
) -> list[Suspect]:
    """Return the objects beside all labels, each once, except those of misplaced labels.

    Only detections where ``is_sure`` (m,) is True count.
    """
    is_free = (overlaps.iou < FREE_IOU).all(0) & is_sure
    known = list(misplaced)
    missing = []
    for index in np.flatnonzero(is_free):
        box = detections.boxes[[index]]
        if (compute_iou(box, detections.boxes[known]) >= MIN_IOU).any():
            continue
        known.append(index)
        missing.append(
            Suspect(
                kind=Kind.MISSING,
                given=None,
                found=int(detections.labels[index]),
                given_score=0.0,
                found_score=float(detections.scores[index]),
                size=compute_area(detections.boxes[index]),
                found_box=round_box(detections.boxes[index]),
            )
        )
    return missing


def compute_iou(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:
    """Compute the IoU of boxes (n, 4) and (m, 4), (n, m)."""
    if not len(first) or not len(second):
        return np.zeros((len(first), len(second)))
    import supervision as sv

    return sv.box_iou_batch(first, second)


def compute_area(box: NDArray[np.floating]) -> int:
    """Compute the area of a box (4,), at least 1."""
    width, height = box[2:] - box[:2]
    return max(1, round(float(width * height)))


def round_box(box: NDArray[np.floating]) -> Box:
    """Round the sides of a box (4,)."""
    left, top, right, bottom = np.round(box).astype(int).tolist()
    return left, top, right, bottom
