"""Score predictions of an image by its ground truth, and count them in a confusion matrix."""

from collections.abc import Sequence

import numpy as np

from ..errors import OptionalModule, UserError
from ..inference.results import Detections, Prediction, Segmentation
from ..tasks import CLASSIFICATION, Task
from .detection_curves import drop_ignored

sv = OptionalModule('supervision', 'a confusion matrix')

# Name of the last row (no object) and last column (no detection) of a confusion matrix
BACKGROUND = 'background'
NUM_CONFUSIONS = 3  # in a summary
MIN_IOU = 0.5  # of the boxes of an object and its detection


def score_image(
    ground_truth: Prediction, prediction: Prediction, classes: Sequence[str]
) -> tuple[float, np.ndarray]:
    """Score a prediction, and compute the confusion matrix (n + 1, n + 1) of n classes and the
    background.

    :attr:`.Task.score` says what the score is. It is 1 if there are no objects and no detections,
    or no labelled pixels. Detections on ignored objects do not count. Rows of the matrix are ground
    truth, columns are predictions.
    """
    if isinstance(prediction, Detections):
        return score_detections(ground_truth, prediction, len(classes))
    if isinstance(prediction, Segmentation):
        return score_segmentation(ground_truth.label_map, prediction.label_map, len(classes))
    labels, predicted = np.array([ground_truth.label]), np.array([prediction.label])
    matrix = compute_confusion_matrix(labels, predicted, len(classes))
    return prediction.scores[ground_truth.label], matrix


def score_detections(
    ground_truth: Detections, prediction: Detections, num_classes: int
) -> tuple[float, np.ndarray]:
    """Compute the F1 of an image's detections, and their confusion matrix.

    Each object counts once in its row, and each detection once in its column. Missed objects are in
    the column of the background, and detections without an object in its row.
    """
    prediction = drop_ignored(ground_truth, prediction, num_classes)
    matched, detected = match_objects(ground_truth, prediction)
    # The last row and column are the background's.
    rows = np.full(len(prediction), num_classes)
    rows[detected] = ground_truth.labels[matched]
    missed = np.delete(ground_truth.labels, matched)
    matrix = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    np.add.at(matrix, (rows, prediction.labels), 1)
    np.add.at(matrix, (missed, num_classes), 1)
    total = len(ground_truth) + len(prediction)
    return (2 * np.trace(matrix) / total if total else 1.0), matrix


def match_objects(
    ground_truth: Detections, prediction: Detections
) -> tuple[np.ndarray, np.ndarray]:
    """Match objects and detections one to one, from the highest IoU down to 0.5, and those of the
    same class first.

    Return the indices of the objects (k,), and those of their detections (k,).
    """
    objects = sv.Detections(ground_truth.boxes, class_id=ground_truth.labels)
    found = sv.Detections(prediction.boxes, class_id=prediction.labels)
    pairs, missed, others = sv.match_detections(objects, found, MIN_IOU)
    wrong, _, _ = sv.match_detections(objects[missed], found[others], MIN_IOU, class_agnostic=True)
    wrong_objects, wrong_detections = wrong.T
    return (
        np.concatenate([pairs[:, 0], missed[wrong_objects]]),
        np.concatenate([pairs[:, 1], others[wrong_detections]]),
    )


def score_segmentation(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int
) -> tuple[float, np.ndarray]:
    """Compute the mean IoU of the classes in two segmentation maps (height, width), and their
    confusion matrix.

    Raise a UserError if the maps have different sizes.
    """
    if labels.shape != predicted.shape:
        raise UserError(
            f'(height, width) of the image is {predicted.shape}, of its ground truth '
            f"{labels.shape}. To find such images, run 'mmgcvit check-data CONFIG'"
        )
    is_labelled = labels < num_classes
    matrix = compute_confusion_matrix(labels[is_labelled], predicted[is_labelled], num_classes)
    intersection = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - intersection
    occurs = union > 0
    iou = intersection[occurs] / union[occurs]
    return (iou.mean() if len(iou) else 1.0), matrix


def compute_confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int
) -> np.ndarray:
    """Compute the confusion matrix (n + 1, n + 1) of two label arrays (k,).

    The background's row and column are 0.
    """
    size = num_classes + 1
    cells = labels.astype(np.int64) * size + predicted
    return np.bincount(cells, minlength=size * size).reshape(size, size)


def summarise_confusion_matrix(matrix: np.ndarray, classes: Sequence[str]) -> str:
    """Summarise a confusion matrix: the number of right predictions, of missed objects and of false
    detections, then the three most frequent confusions of classes.
    """
    texts = [f'{np.trace(matrix):,} of {matrix[:-1].sum():,} right']
    for count, word in ((matrix[:-1, -1].sum(), 'missed'), (matrix[-1, :-1].sum(), 'false')):
        if count:
            texts.append(f'{count:,} {word}')
    wrong = matrix[:-1, :-1] - np.diag(np.diag(matrix)[:-1])
    for cell in np.argsort(-wrong, axis=None, kind='stable')[:NUM_CONFUSIONS]:
        row, column = divmod(cell, len(classes))
        if wrong[row, column]:
            texts.append(f'{wrong[row, column]:,} × {classes[row]} → {classes[column]}')
    return ', '.join(texts)


def describe_image(task: Task, score: float, matrix: np.ndarray, classes: Sequence[str]) -> str:
    """Describe an image by its score, and by its confusion matrix or whether its class is right."""
    text = f'{task.score} {score:.2f}'
    if task == CLASSIFICATION:
        word = 'right' if np.trace(matrix) else 'wrong'
        return f'{word}, {text}'
    return f'{text}: {summarise_confusion_matrix(matrix, classes)}'
