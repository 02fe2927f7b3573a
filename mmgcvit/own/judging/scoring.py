"""Count the predictions of an image in a confusion matrix, and describe it."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

import numpy as np
from numpy.typing import NDArray

# Name of the last row (no object) and last column (no detection) of a confusion matrix
BACKGROUND = 'background'
NUM_CONFUSIONS = 3  # in a summary


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
class ImageScore:
    """The score of the prediction of an image, from 0 to 1, and its counts.

    :attr:`.Task.score` says what the score is.
    """

    value: float
    confusion_matrix: ConfusionMatrix


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
