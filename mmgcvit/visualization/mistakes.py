"""Compute the confusion matrix and find the worst images of a trained model on a dataset."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np
import supervision as sv
from matplotlib.figure import Figure
from mmengine.dataset import BaseDataset
from rich.progress import Progress

from ..errors import UserError
from ..files import write_image
from ..inference import Detections, Prediction, Predictor, Segmentation
from ..inference.outputs import write_json
from .drawing import save
from .grids import LARGE_CELL, draw_cells, draw_grid
from .ground_truth import load_sample

# IoU threshold for matching detections with objects.
MATCH_IOU_THR = 0.5
# What the matrix counts, and the score of an image, by task.
COUNTED = {'detection': 'objects', 'segmentation': 'pixels', 'classification': 'images'}
SCORES = {
    'detection': 'F1 of the objects',
    'segmentation': 'mean IoU of its classes',
    'classification': 'score of the true class',
}
BACKGROUND = 'background'
# Maximum number of confusions named for an image.
MAX_NAMED = 3
# A matrix with more classes is drawn without numbers.
MAX_WITH_NUMBERS = 25


@dataclass(frozen=True)
class Mistake:
    """An image of a dataset with its prediction and score.

    Attributes:
        score: From 0 to 1; see :data:`SCORES`.
        text: The number of right predictions and the most frequent confusions.
    """

    number: int
    path: Path
    prediction: Prediction
    score: float
    text: str


def score_image(truth: Prediction, found: Prediction, classes: Sequence[str]) -> tuple[float, np.ndarray]:
    """Compare a prediction with the ground truth of its image.

    Returns:
        The score, see :data:`SCORES`; an image without objects or labels has 1. The confusion matrix (n + 1, n + 1) of
        n classes and the background: rows are the ground truth, columns the prediction.
    """
    if isinstance(found, Detections):
        # Each object and each detection counts once.
        counts = sv.ConfusionMatrix.evaluate_detection_batch(
            predictions=np.column_stack([found.boxes, found.labels, found.scores]),
            targets=np.column_stack([truth.boxes, truth.labels]),
            num_classes=len(classes),
            conf_threshold=0.0,
            iou_threshold=MATCH_IOU_THR,
        ).astype(np.int64)
        total = len(truth) + len(found)
        return 2 * np.trace(counts) / total if total else 1.0, counts
    if isinstance(found, Segmentation):
        if truth.label_map.shape != found.label_map.shape:
            raise UserError(
                f'prediction {found.label_map.shape} and ground truth {truth.label_map.shape} differ in shape'
            )
        is_labelled = truth.label_map < len(classes)
        counts = compute_confusion_matrix(truth.label_map[is_labelled], found.label_map[is_labelled], len(classes))
        intersection = np.diag(counts)
        union = counts.sum(0) + counts.sum(1) - intersection
        return (intersection[union > 0] / union[union > 0]).mean() if union.any() else 1.0, counts
    counts = compute_confusion_matrix(np.array([truth.label]), np.array([found.label]), len(classes))
    return found.scores[truth.label], counts


def compute_confusion_matrix(truths: np.ndarray, found: np.ndarray, num_classes: int) -> np.ndarray:
    """Compute the confusion matrix (n + 1, n + 1) of two label arrays (k,); background entries are 0."""
    size = num_classes + 1
    return np.bincount(truths.astype(np.int64) * size + found, minlength=size * size).reshape(size, size)


def summarise_confusion_matrix(counts: np.ndarray, classes: Sequence[str], number: int = MAX_NAMED) -> list[str]:
    """Summarise a confusion matrix: the number of right predictions, then the most frequent confusions."""
    names = [*classes, BACKGROUND]
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind='stable')[:number]
    pairs = zip(*np.unravel_index(order, counts.shape), strict=True)
    texts = [f'{wrong[pair]:,} × {names[pair[0]]} → {names[pair[1]]}' for pair in pairs if wrong[pair]]
    return [f'{np.trace(counts):,} of {counts[:-1].sum():,} right', *texts]


def find_mistakes(
    model: Predictor, dataset: BaseDataset, max_worst: int, batch_size: int, progress: Progress
) -> tuple[np.ndarray, list[Mistake]]:
    """Predict all images of a dataset and compare them with their ground truth.

    Args:
        model: The model; detections below its score threshold are ignored.
        dataset: A dataset of :func:`.ground_truth.build_dataset`.
        max_worst: Maximum number of images to keep, all with a score below 1.
        batch_size: Number of images per batch.
        progress: The progress bar.

    Returns:
        The confusion matrix of all images, and the worst images by ascending score.
    """
    counts = np.zeros((len(model.classes) + 1,) * 2, np.int64)
    worst: list[Mistake] = []
    for begin in progress.track(range(0, len(dataset), batch_size), description='images'):
        numbers = range(begin, min(begin + batch_size, len(dataset)))
        loaded = [load_sample(dataset, number, model.classes) for number in numbers]
        predictions = model.predict_batch([image for _, image, _ in loaded])
        for number, (path, _, truth), prediction in zip(numbers, loaded, predictions, strict=True):
            if truth is None or isinstance(prediction, UserError):
                raise UserError(f'{path}: {"it has no ground truth" if truth is None else prediction}')
            score, found = score_image(truth, prediction, model.classes)
            counts += found
            mistake = Mistake(
                number, path, prediction, float(score), '; '.join(summarise_confusion_matrix(found, model.classes))
            )
            wrong = [mistake] if score < 1 else []
            worst = heapq.nsmallest(max_worst, [*worst, *wrong], key=attrgetter('score', 'number'))
    return counts, worst


def score_classes(counts: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Compute the number of ground truths, precision, recall and F1 of each class from a confusion matrix.

    A ratio without any predictions or ground truths is 0.
    """
    right = np.diag(counts)[: len(classes)]
    truths, predictions = counts.sum(1)[: len(classes)], counts.sum(0)[: len(classes)]
    columns = {
        'ground_truths': truths,
        'precision': right / np.maximum(predictions, 1),
        'recall': right / np.maximum(truths, 1),
        'f1': 2 * right / np.maximum(truths + predictions, 1),
    }
    return {
        name: {key: round(float(column[i]), 4) for key, column in columns.items()} for i, name in enumerate(classes)
    }


def draw_confusion(counts: np.ndarray, classes: Sequence[str], task: str) -> Figure:
    """Draw a confusion matrix with counts in the cells and row-normalised values as colours."""
    names = [*classes, BACKGROUND] if task == 'detection' else list(classes)
    counts = counts[: len(names), : len(names)]
    side = float(np.clip(0.35 * len(names), 6, 24))
    figure = Figure(figsize=(1.15 * side, side), layout='constrained')
    axes = figure.add_subplot(xlabel='predicted', ylabel='ground truth', title=COUNTED[task])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    bar = figure.colorbar(axes.imshow(shares, cmap='Blues', vmin=0, vmax=1), ax=axes, shrink=0.8)
    bar.set_label('row-normalised')
    size = float(np.clip(43 * side / len(names), 2, 9))
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    for row, column in np.argwhere(counts) if len(names) <= MAX_WITH_NUMBERS else ():
        colour = 'white' if shares[row, column] > 0.5 else 'black'
        number = f'{counts[row, column]:,}' if counts.max() < 1e4 else f'{shares[row, column]:.0%}'
        axes.text(column, row, number, ha='center', va='center', fontsize=size, color=colour)
    return figure


def write_mistakes(
    folder: Path, model: Predictor, dataset: BaseDataset, counts: np.ndarray, worst: Sequence[Mistake]
) -> None:
    """Write the matrix as ``confusion.png``, pictures of the worst images, and both as ``mistakes.json``."""
    save(draw_confusion(counts, model.classes, model.task), folder / 'confusion.png')
    images = []
    for rank, mistake in enumerate(worst, start=1):
        path, image, truth = load_sample(dataset, mistake.number, model.classes)
        text = f'{path.name} {mistake.score:.3f}: {mistake.text}'
        cells = draw_cells(text, image, model.palette, truth, mistake.prediction, LARGE_CELL)
        drawn = write_image(folder / 'worst' / f'{rank:03d}_{path.stem}.png', draw_grid(cells, columns=2))
        images.append({'image': str(path), 'score': round(mistake.score, 6), 'text': mistake.text, 'drawn': drawn.name})
    matrix = {'classes': [*model.classes, BACKGROUND], 'rows_are_truth': counts.tolist()}
    matrix['by_class'] = score_classes(counts, model.classes)
    write_json(folder / 'mistakes.json', {'counted': COUNTED[model.task], **matrix, 'worst': images})
