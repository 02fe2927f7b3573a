"""Score predictions of an image by its ground truth, and count them in a confusion matrix."""

from collections.abc import Sequence
from heapq import nlargest

import numpy as np
from numpy.typing import NDArray

from ..errors import Supervision, UserError
from ..inference.predictor import Predictor
from ..inference.results import Classification, Detections, Prediction, Segmentation
from ..tasks import CLASSIFICATION, TASK_BY_NAME
from .detection_curves import drop_ignored

sv = Supervision('a confusion matrix')

# Name of the last row (no object) and last column (no detection) of a confusion matrix
BACKGROUND = 'background'
NUM_CONFUSIONS = 3  # in a summary
MIN_IOU = 0.5  # of the boxes of an object and its detection


def score_image(
    ground_truth: Prediction, prediction: Prediction, classes: Sequence[str]
) -> tuple[float, NDArray]:
    """Score a prediction, and compute the confusion matrix (n + 1, n + 1) of n classes and the
    background.

    :attr:`.Task.score` says what the score is. It is 1 if there are no objects and no detections,
    or no labelled pixels. Detections on ignored objects do not count. Rows of the matrix are ground
    truth, columns are predictions. Each object counts once in its row, and each detection once in
    its column. Missed objects are in the column of the background, the last one, and detections
    without an object in its row.
    """
    if isinstance(prediction, Segmentation):
        return score_segmentation(ground_truth.label_map, prediction.label_map, len(classes))
    matrix = np.zeros([len(classes) + 1] * 2, np.int64)
    if isinstance(prediction, Classification):
        matrix[ground_truth.label, prediction.label] = 1
        return prediction.scores[ground_truth.label], matrix
    prediction, labels, missed = match_objects(ground_truth, prediction)
    # Label -1 is the last row and column, the background.
    np.add.at(matrix, (labels, prediction.labels), 1)
    np.add.at(matrix, (ground_truth.labels[missed], -1), 1)
    total = len(ground_truth) + len(prediction)
    return (2 * np.trace(matrix) / total if total else 1.0), matrix


def match_objects(
    ground_truth: Detections, prediction: Detections
) -> tuple[Detections, NDArray, NDArray]:
    """Match objects and detections one to one, from the highest IoU down to 0.5, and those of the
    same class first.

    Return the detections except those on ignored objects, the label of the object that each
    matches (n,), -1 if there is none, and the indices of the objects that are missed (k,).
    """
    prediction = drop_ignored(ground_truth, prediction)
    objects = sv.Detections(ground_truth.boxes, class_id=ground_truth.labels)
    found = sv.Detections(prediction.boxes, class_id=prediction.labels)
    # Indices of the objects and detections without a partner of their class.
    _, lone_objects, lone_found = sv.match_detections(objects, found, MIN_IOU)
    pairs, missed, _ = sv.match_detections(
        objects[lone_objects], found[lone_found], MIN_IOU, class_agnostic=True
    )
    labels = prediction.labels.copy()
    labels[lone_found] = -1
    labels[lone_found[pairs[:, 1]]] = ground_truth.labels[lone_objects[pairs[:, 0]]]
    return prediction, labels, lone_objects[missed]


def score_segmentation(
    labels: NDArray, predicted: NDArray, num_classes: int
) -> tuple[float, NDArray]:
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
    size = num_classes + 1
    cells = labels[is_labelled].astype(np.int64) * size + predicted[is_labelled]
    matrix = np.bincount(cells, minlength=size * size).reshape(size, size)
    intersection = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - intersection
    occurs = union > 0
    iou = intersection[occurs] / union[occurs]
    return (iou.mean() if len(iou) else 1.0), matrix


def summarise_confusion_matrix(matrix: NDArray, classes: Sequence[str]) -> str:
    """Summarise a confusion matrix: the number of right predictions, of missed objects and of false
    detections, then the three most frequent confusions of classes.
    """
    texts = [f'{np.trace(matrix):,} of {matrix[:-1].sum():,} right']
    for count, word in ((matrix[:-1, -1].sum(), 'missed'), (matrix[-1, :-1].sum(), 'false')):
        if count:
            texts.append(f'{count:,} {word}')
    wrong = matrix[:-1, :-1].copy()
    np.fill_diagonal(wrong, 0)
    cells = np.argwhere(wrong)
    for row, column in nlargest(NUM_CONFUSIONS, cells, key=lambda cell: wrong[tuple(cell)]):
        texts.append(f'{wrong[row, column]:,} × {classes[row]} → {classes[column]}')
    return ', '.join(texts)


def describe_image(model: Predictor, score: float, matrix: NDArray) -> str:
    """Describe an image by its score, and by its confusion matrix or whether its class is right."""
    text = f'{TASK_BY_NAME[model.task].score} {score:.2f}'
    if model.task == CLASSIFICATION.name:
        word = 'right' if np.trace(matrix) else 'wrong'
        return f'{word}, {text}'
    return f'{text}: {summarise_confusion_matrix(matrix, model.classes)}'
