"""What a trained model gets wrong on a data set: a confusion matrix, and the images with the lowest scores."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from matplotlib.figure import Figure
from rich.progress import Progress

from ..errors import UserError
from ..files import write_image
from ..inference import Classification, Detections, Prediction, Predictor, Segmentation
from ..inference.outputs import write_json
from .drawing import save
from .grids import draw_pair
from .ground_truth import GroundTruth, TrueDetections

# Boxes of one object overlap by this IoU.
SAME_OBJECT = 0.5
# What the matrix counts, and the score of an image, by the task of a model.
COUNTED = {'detection': 'objects', 'segmentation': 'pixels', 'classification': 'images'}
SCORES = {
    'detection': 'F1 of the objects',
    'segmentation': 'mean IoU of its classes',
    'classification': 'score of the true class',
}
BACKGROUND = 'background'
# How many confusions are told of an image, and written of a data set.
MAX_TOLD, MAX_WRITTEN = 3, 100
# Matrices of more classes are drawn without numbers.
MAX_WITH_NUMBERS = 25


@dataclass(frozen=True)
class ImageScore:
    """How well a prediction fits the ground truth.

    Attributes:
        score: From 0 to 1; see :data:`SCORES`.
        counts: (n + 1, n + 1) int64, confusions: rows are the ground truth, columns the prediction, the last of each
            is the background.
        text: What is wrong, in words.
    """

    score: float
    counts: np.ndarray
    text: str


@singledispatch
def score_image(truth: Prediction, found: Prediction, classes: Sequence[str]) -> ImageScore:
    """Compare a prediction with the ground truth of its image."""
    raise TypeError(f'{type(truth).__name__} is not a ground truth')


@score_image.register
def score_objects(truth: TrueDetections, found: Detections, classes: Sequence[str]) -> ImageScore:
    """F1 at an IoU of 0.5, 2 TP / (ground truth + predicted); 1 if there are neither. Each object counts once."""
    from mmdet.evaluation import bbox_overlaps

    # As COCO does: the overlap with a crowd is a share of the detection's own area.
    inside = bbox_overlaps(found.boxes, truth.ignored, mode='iof').reshape(len(found), len(truth.ignored))
    kept = found.select(np.flatnonzero(~(inside >= SAME_OBJECT).any(1)))
    counts = sv.ConfusionMatrix.evaluate_detection_batch(
        predictions=np.column_stack([kept.boxes, kept.labels, kept.scores]),
        targets=np.column_stack([truth.boxes, truth.labels]),
        num_classes=len(classes),
        conf_threshold=0.0,
        iou_threshold=SAME_OBJECT,
    ).astype(np.int64)
    total, right = len(truth) + len(kept), int(np.trace(counts))
    text = '; '.join([f'{right} of {len(truth)} found', *describe_confusions(counts, classes)])
    return ImageScore(2 * right / total if total else 1.0, counts, text)


@score_image.register
def score_pixels(truth: Segmentation, found: Segmentation, classes: Sequence[str]) -> ImageScore:
    """Mean IoU over the classes that are there or predicted; 1 if no pixel is labelled."""
    if truth.label_map.shape != found.label_map.shape:
        raise UserError(f'its prediction has shape {found.label_map.shape}, its labels {truth.label_map.shape}')
    is_labelled = truth.label_map < len(classes)
    counts = count_pairs(truth.label_map[is_labelled], found.label_map[is_labelled], len(classes))
    both = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - both
    score = float((both[union > 0] / union[union > 0]).mean()) if union.any() else 1.0
    right = f'{both.sum() / max(counts.sum(), 1):.0%} of the labelled pixels right'
    return ImageScore(score, counts, '; '.join([right, *describe_confusions(counts, classes)]))


@score_image.register
def score_class(truth: Classification, found: Classification, classes: Sequence[str]) -> ImageScore:
    """The score of the true class."""
    counts = count_pairs(np.array([truth.label]), np.array([found.label]), len(classes))
    text = f'{truth.class_name} predicted as {found.class_name}'
    score = float(found.scores[truth.label])
    return ImageScore(score, counts, text if truth.label == found.label else f'{text} with {found.score:.2f}')


def count_pairs(truths: np.ndarray, found: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pairs of class numbers, both (k,), in a confusion matrix with an empty background."""
    size = num_classes + 1
    pairs = truths.astype(np.int64) * size + found
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def find_confusions(counts: np.ndarray, number: int) -> list[tuple[int, int, int]]:
    """The most frequent confusions: ground truth, prediction, count."""
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind='stable')[:number]
    rows, columns = np.unravel_index(order, counts.shape)
    found = zip(rows.tolist(), columns.tolist(), wrong[rows, columns].tolist(), strict=True)
    return [each for each in found if each[2]]


def describe_confusions(counts: np.ndarray, classes: Sequence[str], number: int = MAX_TOLD) -> list[str]:
    """The most frequent confusions in words."""
    names = [*classes, BACKGROUND]
    return [f'{count:,} × {names[row]} → {names[column]}' for row, column, count in find_confusions(counts, number)]


@dataclass(frozen=True)
class Mistake:
    """An image of a data set by its number, with its prediction and score."""

    number: int
    prediction: Prediction
    found: ImageScore


def find_mistakes(
    model: Predictor, truths: GroundTruth, max_worst: int, batch_size: int, progress: Progress
) -> tuple[np.ndarray, list[Mistake], list[str]]:
    """Predict all images of a data set and compare them with their ground truth.

    Args:
        model: A detector's objects count from its score threshold on.
        truths: The data set.
        max_worst: How many of the worst images to keep.
        batch_size: The number of images at a time.
        progress: Shows how far it is, and the images that cannot be used.

    Returns:
        The confusion matrix as of :class:`ImageScore`; the worst images, the worst first; a sentence for each image
        that could not be used.
    """
    counts = np.zeros((len(model.classes) + 1,) * 2, np.int64)
    worst: list[Mistake] = []
    failed: list[str] = []

    def rank(mistake: Mistake) -> tuple[float, int, int]:
        counts = mistake.found.counts
        return -mistake.found.score, counts.sum() - np.trace(counts), -mistake.number

    def skip(path: str, error: UserError) -> None:
        failed.append(str(error) if str(error).startswith(path) else f'{path}: {error}')
        progress.console.print(f'skipped: {failed[-1]}', markup=False, highlight=False, soft_wrap=True)

    task = progress.add_task('images', total=len(truths))
    for begin in range(0, len(truths), batch_size):
        batch = []
        for number in range(begin, min(begin + batch_size, len(truths))):
            info = truths.get_info(number)
            try:
                image = truths.load_image(info)
                batch.append((number, info['img_path'], image, truths.load_truth(info, image)))
            except UserError as error:
                skip(info['img_path'], error)
        predictions = model.predict_batch([image for _, _, image, _ in batch])
        for (number, path, _, truth), prediction in zip(batch, predictions, strict=True):
            try:
                if isinstance(prediction, UserError):
                    raise prediction
                mistake = Mistake(number, prediction, score_image(truth, prediction, model.classes))
            except UserError as error:
                skip(path, error)
                continue
            counts += mistake.found.counts
            worst = heapq.nlargest(max_worst, [*worst, mistake], key=rank)
        progress.update(task, completed=min(begin + batch_size, len(truths)))
    return counts, worst, failed


def draw_confusion(counts: np.ndarray, classes: Sequence[str], task: str) -> Figure:
    """Draw a confusion matrix: counts, on the colour of their share of the row."""
    names = [*classes, BACKGROUND] if task == 'detection' else list(classes)
    counts = counts[: len(names), : len(names)]
    side = float(np.clip(0.35 * len(names), 6, 24))
    figure = Figure(figsize=(1.15 * side, side), layout='constrained')
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    bar = figure.colorbar(axes.imshow(shares, cmap='Blues', vmin=0, vmax=1), ax=axes, shrink=0.8)
    bar.set_label('share of the row')
    size = float(np.clip(72 * 0.6 * side / len(names), 2, 9))
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set(xlabel='predicted', ylabel='ground truth', title=COUNTED[task])
    if len(names) <= MAX_WITH_NUMBERS:
        for row, column in np.argwhere(counts):
            colour = 'white' if shares[row, column] > 0.5 else 'black'
            number = f'{counts[row, column]:,}' if counts.max() < 1e4 else f'{shares[row, column]:.0%}'
            axes.text(column, row, number, ha='center', va='center', fontsize=size, color=colour)
    return figure


def write_mistakes(
    folder: Path, model: Predictor, truths: GroundTruth, counts: np.ndarray, worst: Sequence[Mistake]
) -> None:
    """Write ``confusion.json`` and ``.png``, ``worst.json`` and the pictures of the worst images."""
    names = [*model.classes, BACKGROUND]
    pairs = [
        {'truth': names[row], 'predicted': names[column], 'count': count}
        for row, column, count in find_confusions(counts, MAX_WRITTEN)
    ]
    matrix = {'counted': COUNTED[model.task], 'classes': names, 'most_confused': pairs, 'matrix': counts.tolist()}
    write_json(folder / 'confusion.json', {'rows': 'ground truth', 'columns': 'predicted', **matrix})
    save(draw_confusion(counts, model.classes, model.task), folder / 'confusion.png')
    images: list[dict[str, Any]] = []
    for rank, mistake in enumerate(worst, start=1):
        info = truths.get_info(mistake.number)
        image, path, found = truths.load_image(info), info['img_path'], mistake.found
        truth, text = truths.load_truth(info, image), f'{found.score:.3f}: {found.text}'
        picture = draw_pair(image, truth, mistake.prediction, model.palette, Path(path).name, text)
        drawn = Path('worst') / f'{rank:03d}_{Path(path).stem}.png'
        write_image(folder / drawn, picture)
        images.append(
            {'rank': rank, 'file_name': path, 'score': round(found.score, 6), 'why': found.text, 'drawn': str(drawn)}
        )
    write_json(folder / 'worst.json', {'score': SCORES[model.task], 'images': images})
