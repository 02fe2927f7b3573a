"""Score predictions of an image by its ground truth, and count them in a confusion matrix."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Supervision, UserError
from ..inference.results import Classification, Detections, Prediction, Segmentation
from ..tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from .detection_curves import drop_ignored

sv = Supervision('a confusion matrix')

# Name of the last row (no object) and last column (no detection) of a confusion matrix
BACKGROUND = 'background'
NUM_CONFUSIONS = 3  # in a summary
MIN_IOU = 0.5  # of the boxes of an object and its detection


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """How many images, pixels or objects of each of n classes are predicted as which class.

    Objects may also be missed, and detections be false. Each object counts once, and each
    detection.
    """

    matched: NDArray[np.int64]  # (n, n), by the class in the ground truth and the predicted class
    missed: NDArray[np.int64]  # (n,), objects without a detection, by class
    false: NDArray[np.int64]  # (n,), detections without an object, by predicted class

    def __add__(self, other: 'ConfusionMatrix') -> 'ConfusionMatrix':
        return ConfusionMatrix(
            self.matched + other.matched, self.missed + other.missed, self.false + other.false
        )

    @property
    def right(self) -> NDArray[np.int64]:
        """The number of right predictions of each class, (n,)."""
        return np.diag(self.matched)

    @property
    def ground_truths(self) -> NDArray[np.int64]:
        """The number of images, pixels or objects of each class in the ground truth, (n,)."""
        return self.matched.sum(1) + self.missed

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The number of predictions of each class, (n,)."""
        return self.matched.sum(0) + self.false

    @property
    def is_right(self) -> bool:
        """Whether nothing is confused, missed or false."""
        return bool(self.right.sum() == self.matched.sum() + self.missed.sum() + self.false.sum())

    def to_array(self) -> NDArray[np.int64]:
        """Return an array (n + 1, n + 1). Rows are ground truth, columns are predictions.

        Its last column has the missed objects, its last row the false detections.
        """
        num_classes = len(self.missed)
        array = np.zeros((num_classes + 1, num_classes + 1), np.int64)
        array[:num_classes, :num_classes] = self.matched
        array[:num_classes, num_classes] = self.missed
        array[num_classes, :num_classes] = self.false
        return array


def make_empty_matrix(num_classes: int) -> ConfusionMatrix:
    """Make a confusion matrix without counts."""
    return ConfusionMatrix(
        matched=np.zeros((num_classes, num_classes), np.int64),
        missed=np.zeros(num_classes, np.int64),
        false=np.zeros(num_classes, np.int64),
    )


@dataclass(frozen=True, eq=False)
class Score(ABC):
    """The score of the prediction of an image, from 0 to 1, and its counts.

    :attr:`.Task.score` says what the score is.
    """

    value: float
    confusion_matrix: ConfusionMatrix

    @abstractmethod
    def describe(self, classes: Sequence[str]) -> str:
        """Return the score as text, and what is right and wrong."""


class DetectionScore(Score):
    """F1 of the detections of an image, or 1 if there are no objects and no detections.

    Detections on ignored objects do not count.
    """

    def describe(self, classes: Sequence[str]) -> str:
        summary = summarise_confusion_matrix(self.confusion_matrix, classes)
        return f'{DETECTION.score} {self.value:.2f}: {summary}'


class SegmentationScore(Score):
    """Mean IoU of the classes in two segmentation maps, or 1 if there are no labelled pixels."""

    def describe(self, classes: Sequence[str]) -> str:
        summary = summarise_confusion_matrix(self.confusion_matrix, classes)
        return f'{SEGMENTATION.score} {self.value:.2f}: {summary}'


class ClassificationScore(Score):
    """The predicted score of the true class of an image."""

    def describe(self, classes: Sequence[str]) -> str:
        word = 'right' if self.confusion_matrix.is_right else 'wrong'
        return f'{word}, {CLASSIFICATION.score} {self.value:.2f}'


def score_image(ground_truth: Prediction, prediction: Prediction, num_classes: int) -> Score:
    """Score a prediction of a model with ``num_classes`` classes.

    Raise a UserError if prediction and ground truth are of different tasks, or segmentation maps
    of different sizes.
    """
    if isinstance(ground_truth, Detections) and isinstance(prediction, Detections):
        return score_detections(ground_truth, prediction, num_classes)
    if isinstance(ground_truth, Segmentation) and isinstance(prediction, Segmentation):
        return score_segmentation(ground_truth.label_map, prediction.label_map, num_classes)
    if isinstance(ground_truth, Classification) and isinstance(prediction, Classification):
        return score_classification(ground_truth, prediction, num_classes)
    raise UserError(
        f'the model predicts {type(prediction).__name__}, and the ground truth of the dataset is '
        f'{type(ground_truth).__name__}. Use a dataset for the task of the model'
    )


def score_classification(
    ground_truth: Classification, prediction: Classification, num_classes: int
) -> ClassificationScore:
    """Score the predicted class of an image."""
    matrix = make_empty_matrix(num_classes)
    matrix.matched[ground_truth.label, prediction.label] = 1
    return ClassificationScore(float(prediction.scores[ground_truth.label]), matrix)


def score_detections(
    ground_truth: Detections, prediction: Detections, num_classes: int
) -> DetectionScore:
    """Score the detections of an image."""
    matches = match_objects(ground_truth, prediction)
    labels = matches.detections.labels
    matrix = make_empty_matrix(num_classes)
    matched_labels = ground_truth.labels[matches.pairs[:, 0]], labels[matches.pairs[:, 1]]
    np.add.at(matrix.matched, matched_labels, 1)
    np.add.at(matrix.missed, ground_truth.labels[matches.missed], 1)
    np.add.at(matrix.false, labels[matches.false], 1)
    total = len(ground_truth) + len(matches.detections)
    f1 = 2 * matrix.right.sum() / total if total else 1.0
    return DetectionScore(float(f1), matrix)


@dataclass(frozen=True, eq=False)
class Matches:
    """Which objects of an image are detected, and by which detections."""

    detections: Detections  # those that are not on ignored objects
    pairs: NDArray[np.int64]  # (n, 2), indices of an object and of its detection
    missed: NDArray[np.int64]  # indices of the objects without a detection
    false: NDArray[np.int64]  # indices of the detections without an object


def match_objects(ground_truth: Detections, prediction: Detections) -> Matches:
    """Match objects and detections one to one, from the highest IoU down to 0.5, and those of the
    same class first.
    """
    detections = drop_ignored(ground_truth, prediction)
    objects = sv.Detections(ground_truth.boxes, class_id=ground_truth.labels)
    found = sv.Detections(detections.boxes, class_id=detections.labels)
    # Pairs of the same class, and the indices of the objects and detections in none of them
    same_class, lone_objects, lone_found = sv.match_detections(objects, found, MIN_IOU)
    others, missed, false = sv.match_detections(
        objects[lone_objects], found[lone_found], MIN_IOU, class_agnostic=True
    )
    other_class = np.stack([lone_objects[others[:, 0]], lone_found[others[:, 1]]], axis=1)
    return Matches(
        detections=detections,
        pairs=np.concatenate([same_class, other_class]),
        missed=lone_objects[missed],
        false=lone_found[false],
    )


def score_segmentation(
    labels: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], num_classes: int
) -> SegmentationScore:
    """Score a predicted segmentation map (height, width) by that of the ground truth.

    Labels in the ground truth that are no class index, such as 255, do not count. Raise a UserError
    if the maps have different sizes.
    """
    if labels.shape != predicted.shape:
        raise UserError(
            f'(height, width) of the image is {predicted.shape}, of its ground truth '
            f"{labels.shape}. To find such images, run 'mmgcvit check-data CONFIG'"
        )
    is_labelled = labels < num_classes
    cells = labels[is_labelled].astype(np.int64) * num_classes + predicted[is_labelled]
    counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    none = np.zeros(num_classes, np.int64)
    matrix = ConfusionMatrix(matched=counts, missed=none, false=none)
    union = matrix.ground_truths + matrix.predictions - matrix.right
    occurs = union > 0
    iou = matrix.right[occurs] / union[occurs]
    return SegmentationScore(float(iou.mean()) if len(iou) else 1.0, matrix)


def summarise_confusion_matrix(matrix: ConfusionMatrix, classes: Sequence[str]) -> str:
    """Summarise a confusion matrix: the number of right predictions, of missed objects and of false
    detections, then the three most frequent confusions of classes.
    """
    texts = [f'{matrix.right.sum():,} of {matrix.ground_truths.sum():,} right']
    for count, word in ((matrix.missed.sum(), 'missed'), (matrix.false.sum(), 'false')):
        if count:
            texts.append(f'{count:,} {word}')
    wrong = matrix.matched.copy()
    np.fill_diagonal(wrong, 0)
    cells = np.argwhere(wrong)
    for row, column in nlargest(NUM_CONFUSIONS, cells, key=lambda cell: wrong[tuple(cell)]):
        texts.append(f'{wrong[row, column]:,} × {classes[row]} → {classes[column]}')
    return ', '.join(texts)
