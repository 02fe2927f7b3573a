"""Predict a dataset, find the confusions and the worst images, choose a threshold, and say how good
the model is.
"""

import heapq
import sys
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.dataset import BaseDataset
from rich.progress import track

from ..checkpoints.safe_loading import Checkpoint
from ..config import read_config
from ..errors import OptionalModule, UserError, format_count
from ..files import compute_sha256, write_figure, write_image
from ..inference.loading import load, silence_output
from ..inference.model_files import SCORE_THR_FILE, find_config, read_model_checkpoint
from ..inference.outputs import write_json
from ..inference.predictor import Predictor
from ..inference.results import Detections, Prediction, Segmentation, encode_rle
from ..tasks import DETECTION, SEGMENTATION, TASK_BY_NAME
from .detection_curves import (
    DetectionCurves,
    compute_detection_curves,
    draw_detection_curves,
    drop_ignored,
)
from .grids import LARGE_PICTURE_SIDE, build_dataset, draw_cells, draw_grid, load_sample

sv = OptionalModule('supervision', 'a confusion matrix')

# Name of the last row (no object) and last column (no detection) of a confusion matrix
BACKGROUND = 'background'
MIN_F1 = 0.1  # if no confidence threshold has this F1, none is chosen
GOOD, FAIR = 0.8, 0.5  # from which F1, mIoU or accuracy on a model is good, or fair
MAX_WITH_NUMBERS = 25  # a confusion matrix with more classes is drawn without numbers


@dataclass(frozen=True)
class ScoredImage:
    """An image of a dataset with its prediction and score."""

    index: int  # of the image in the dataset
    path: Path
    prediction: Prediction
    score: float  # from 0 to 1; ``Task.score`` says what it is
    summary: str  # the number of right predictions, then the most frequent confusions


@dataclass(frozen=True)
class Mistakes:
    """The mistakes of a model on a dataset."""

    confusion_matrix: np.ndarray  # the sum of the confusion matrices of all images (score_image)
    worst: list[ScoredImage]  # the images with the lowest scores, in ascending order
    curves: (
        DetectionCurves | None
    )  # precision and recall by confidence threshold; only of a detector


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
        prediction = drop_ignored(ground_truth, prediction, len(classes))
        # Each object counts once in its row, and each detection once in its column. Missed objects
        # are in the column of the background, and detections without an object in its row.
        matrix = sv.ConfusionMatrix.evaluate_detection_batch(
            predictions=np.column_stack([prediction.boxes, prediction.labels, prediction.scores]),
            targets=np.column_stack([ground_truth.boxes, ground_truth.labels]),
            num_classes=len(classes),
            conf_threshold=0.0,
            iou_threshold=0.5,
        ).astype(np.int64)
        total = len(ground_truth) + len(prediction)
        return 2 * np.trace(matrix) / total if total else 1.0, matrix
    if isinstance(prediction, Segmentation):
        size, predicted_size = ground_truth.label_map.shape, prediction.label_map.shape
        if size != predicted_size:
            sizes = f'(height, width) of the image is {predicted_size}, of its ground truth {size}'
            raise UserError(f"{sizes}. To find such images, run 'mmgcvit check-data CONFIG'")
        is_labelled = ground_truth.label_map < len(classes)
        labels, predicted = ground_truth.label_map[is_labelled], prediction.label_map[is_labelled]
        matrix = compute_confusion_matrix(labels, predicted, len(classes))
        intersection = np.diag(matrix)
        union = matrix.sum(0) + matrix.sum(1) - intersection
        return (intersection[union > 0] / union[union > 0]).mean() if union.any() else 1.0, matrix
    matrix = compute_confusion_matrix(
        np.array([ground_truth.label]), np.array([prediction.label]), len(classes)
    )
    return prediction.scores[ground_truth.label], matrix


def compute_confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int
) -> np.ndarray:
    """Compute the confusion matrix (n + 1, n + 1) of two label arrays (k,).

    The background's row and column are 0.
    """
    size = num_classes + 1
    return np.bincount(labels.astype(np.int64) * size + predicted, minlength=size * size).reshape(
        size, size
    )


def summarise_confusion_matrix(matrix: np.ndarray, classes: Sequence[str]) -> str:
    """Summarise a confusion matrix: the number of right predictions, then the three most frequent
    confusions.
    """
    names = [*classes, BACKGROUND]
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind='stable')[:3]
    pairs = zip(*np.unravel_index(order, matrix.shape), strict=True)
    texts = [
        f'{wrong[pair]:,} × {names[pair[0]]} → {names[pair[1]]}' for pair in pairs if wrong[pair]
    ]
    return '; '.join([f'{np.trace(matrix):,} of {matrix[:-1].sum():,} right', *texts])


def evaluate_images(
    model: Predictor, dataset: BaseDataset, max_worst: int = 0, batch_size: int = 1
) -> Mistakes:
    """Predict all images of a dataset (:func:`.grids.build_dataset`) and compare them with their
    ground truth.

    Detections that score below the model's ``score_thr`` count only for the curves.
    ``Mistakes.worst`` has at most ``max_worst`` images, all with a score below 1.
    """
    matrix = np.zeros((len(model.classes) + 1,) * 2, np.int64)
    worst: list[ScoredImage] = []
    objects, detections = [], []
    unfiltered = copy(model)
    unfiltered.score_thr = 0.0
    begins = range(0, len(dataset), batch_size)
    for begin in track(begins, description='images', disable=not sys.stdout.isatty()):
        indices = range(begin, min(begin + batch_size, len(dataset)))
        samples = [load_sample(dataset, index, model.classes) for index in indices]
        outcomes = unfiltered.predict_batch([image for _, image, _ in samples])
        for index, (path, _, ground_truth), outcome in zip(indices, samples, outcomes, strict=True):
            if ground_truth is None:
                raise UserError(f'{path}: it has no ground truth')
            prediction = outcome.get(path)
            if isinstance(prediction, Detections):
                # All masks of a dataset would not fit in memory, but RLE does.
                objects.append(encode_masks(ground_truth))
                detections.append(encode_masks(prediction, ground_truth.masks is not None))
                prediction = prediction.select(np.flatnonzero(prediction.scores >= model.score_thr))
            score, image_matrix = score_image(ground_truth, prediction, model.classes)
            matrix += image_matrix
            text = summarise_confusion_matrix(image_matrix, model.classes)
            wrong = [ScoredImage(index, path, prediction, float(score), text)] if score < 1 else []
            worst = heapq.nsmallest(max_worst, [*worst, *wrong], key=attrgetter('score', 'index'))
    curves = (
        compute_detection_curves(objects, detections, len(model.classes))
        if model.task == 'detection'
        else None
    )
    return Mistakes(matrix, worst, curves)


def encode_masks(objects: Detections, keep_masks: bool = True) -> Detections:
    """Return objects, also ignored ones, with their masks as a list of RLE, or without masks."""
    masks = (
        [encode_rle(mask) for mask in objects.masks]
        if keep_masks and objects.masks is not None
        else None
    )
    return replace(objects, masks=masks, ignored=objects.ignored and encode_masks(objects.ignored))


def choose_score_thr(work_dir: Path, checkpoint: Checkpoint) -> tuple[str, float | None]:
    """Choose the confidence threshold with the highest F1 on a run's validation images. Return the
    scores, and F1.

    Write it into the work dir. Prediction with this checkpoint uses it from then on. F1 is None
    without objects.
    """
    with silence_output():
        model = load(work_dir, checkpoint, score_thr=1.0)  # on which the curves do not depend
        dataset = build_dataset(
            read_config(model.config).val_dataloader.dataset, model.scope, masks=False
        )
    mistakes = evaluate_images(model, dataset)
    curves, curve, num_objects = (
        mistakes.curves,
        mistakes.curves.overall,
        mistakes.confusion_matrix[:-1].sum(),
    )
    score_thr, best_f1 = round(curve.best_threshold, 4), curve.f1.max(initial=0)
    if best_f1 < MIN_F1:
        text = f'no confidence threshold finds the objects of the validation images (highest F1: {best_f1:.2f})'
        return text, best_f1 if num_objects else None
    file, best = Path(model.checkpoint), curve.f1.argmax()
    chosen = {'checkpoint': file.name, 'sha256': compute_sha256(file), 'score_thr': score_thr}
    write_json(work_dir / SCORE_THR_FILE, chosen)
    found = round(curve.recall[best] * num_objects)
    return (
        f'{format_count(len(dataset), "validation image")}: box mAP {np.nanmean(curves.ap):.3f}, '
        'AP50 '
        f'{np.nanmean(curves.ap50):.3f}; confidence threshold of predictions: {score_thr:.2f}, '
        'with the highest F1 '
        f'({best_f1:.2f}): {found} of {num_objects} objects found, {num_objects - found} missed, '
        f'{round(found / curve.precision[best]) - found} false'
    ), best_f1


def judge_run(work_dir: Path) -> str:
    """Return the score of a run's best checkpoint, and whether it is good.

    Choose the threshold of a detector.
    """
    cfg, checkpoint = read_config(find_config(work_dir)), read_model_checkpoint(work_dir)
    if cfg.default_scope == DETECTION.scope:
        name, (text, score) = 'F1', choose_score_thr(work_dir, checkpoint)
    else:
        name = 'mIoU' if cfg.default_scope == SEGMENTATION.scope else 'accuracy'
        percent = checkpoint.content['message_hub']['runtime_info'].get('best_score')
        if Path(checkpoint.source).name.startswith(
            'best_val_loss'
        ):  # of --cfg-options ...save_best=val_loss
            return f'validation images: val_loss {percent:.4g}'
        score = None if percent is None else percent / 100
        text = (
            'the validation images give no score'
            if score is None
            else f'validation images: {name} {score:.3f}'
        )
    if score is None:
        return text
    started_with = cfg.get('started_with') or {}
    majority = (
        started_with.get('majority') or 0
    )  # the accuracy if the commonest class is always predicted
    good = max(GOOD, (1 + majority) / 2)
    if score >= good:
        return f'{text}\ngood: {name} is at least {good:.3g}'
    reasons = [*(started_with.get('weaknesses') or ())]
    meta, length = checkpoint.content['meta'], cfg.get('train_cfg') or {}
    is_last = any(meta.get(unit, -1) == length.get(f'max_{unit}s') for unit in ('epoch', 'iter'))
    if is_last and Path(checkpoint.source).name.startswith('best_'):
        reasons.append('the last validation was the best; train longer (--resume --epochs N)')
    if score < FAIR:
        word = f'poor: {name} is under {FAIR}'
    elif score <= majority:
        word = f'poor: the commonest class alone gives {majority:.3f}'
    else:
        word = f'fair: {name} is {max(FAIR, majority):.3g} to {good:.3g}'
    reasons.append("see also 'mmgcvit mistakes' and docs/troubleshooting.md, 'Scores near 0'")
    return '\n  '.join([f'{text}\n{word}. Likely reasons:', *reasons])


def score_classes(mistakes: Mistakes, model: Predictor) -> dict[str, dict[str, float | int | None]]:
    """Compute the number of ground truths, precision, recall and F1 of each class.

    Detectors also have AP and AP50 of boxes and masks, which are None for a class without objects.
    Segmentation models also have IoU. A ratio whose denominator is 0 is 0.
    """
    num_classes = len(model.classes)
    right = np.diag(mistakes.confusion_matrix)[:num_classes]
    ground_truths = mistakes.confusion_matrix.sum(1)[:num_classes]
    predictions = mistakes.confusion_matrix.sum(0)[:num_classes]
    total = ground_truths + predictions
    columns = {
        'ground_truths': ground_truths,
        'precision': right / np.maximum(predictions, 1),
        'recall': right / np.maximum(ground_truths, 1),
        'f1': 2 * right / np.maximum(total, 1),
    }
    if mistakes.curves is not None:
        columns |= {'AP': mistakes.curves.ap, 'AP50': mistakes.curves.ap50}
    if mistakes.curves is not None and mistakes.curves.mask_ap is not None:
        columns |= {'mask_AP': mistakes.curves.mask_ap, 'mask_AP50': mistakes.curves.mask_ap50}
    if model.task == 'segmentation':
        columns['IoU'] = right / np.maximum(total - right, 1)
    return {
        name: {
            key: None if np.isnan(column[i]) else round(column[i].item(), 4)
            for key, column in columns.items()
        }
        for i, name in enumerate(model.classes)
    }


def draw_confusion_matrix(matrix: np.ndarray, classes: Sequence[str], task: str) -> Figure:
    """Draw a confusion matrix: row-normalised values as colours, counts (percentages if any reaches
    10,000) as text.
    """
    names = [*classes, BACKGROUND] if task == 'detection' else list(classes)
    matrix = matrix[: len(names), : len(names)]
    side = float(np.clip(0.35 * len(names), 6, 24))
    figure = Figure(figsize=(1.15 * side, side), layout='constrained')
    axes = figure.add_subplot(
        xlabel='predicted', ylabel='ground truth', title=TASK_BY_NAME[task].counted
    )
    totals = matrix.sum(1, keepdims=True)
    if task == 'detection':
        totals[-1] = (
            totals.max()
        )  # detections without an object are no share of anything: one would be darkest
    shares = matrix / np.maximum(totals, 1)
    colours = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    figure.colorbar(colours, ax=axes, shrink=0.8, label='row-normalised')
    size = float(np.clip(43 * side / len(names), 2, 9))
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    for row, column in np.argwhere(matrix) if len(names) <= MAX_WITH_NUMBERS else ():
        colour = 'white' if shares[row, column] > 0.5 else 'black'
        number = f'{matrix[row, column]:,}' if matrix.max() < 1e4 else f'{shares[row, column]:.0%}'
        axes.text(column, row, number, ha='center', va='center', fontsize=size, color=colour)
    return figure


def write_mistakes(
    folder: Path, model: Predictor, dataset: BaseDataset, mistakes: Mistakes
) -> None:
    """Write ``confusion.png``, ``curves.png`` of a detector, the worst images, and
    ``mistakes.json``.
    """
    matrix, curves, task = mistakes.confusion_matrix, mistakes.curves, TASK_BY_NAME[model.task]
    write_figure(folder / 'confusion.png', draw_confusion_matrix(matrix, model.classes, model.task))
    content = {'counted': task.counted, 'classes': [*model.classes, BACKGROUND]}
    content['rows_are_ground_truth'] = matrix.tolist()
    if curves is not None:
        write_figure(
            folder / 'curves.png', draw_detection_curves(curves, model.classes, model.score_thr)
        )
        content['best_threshold'] = round(curves.overall.best_threshold, 4)
    images = []
    for rank, scored in enumerate(mistakes.worst, start=1):
        path, image, ground_truth = load_sample(dataset, scored.index, model.classes)
        text = f'{path.name}: {task.score} {scored.score:.2f}; {scored.summary}'
        cells = draw_cells(
            text, image, model.palette, ground_truth, scored.prediction, LARGE_PICTURE_SIDE
        )
        drawn = write_image(
            folder / 'worst' / f'{rank:03d}_{path.stem[:50]}.jpg', draw_grid(cells, columns=2)
        )
        result = {'score': round(scored.score, 6), 'text': scored.summary, 'drawn': drawn.name}
        images.append({'image': str(path), **result})
    content |= {'by_class': score_classes(mistakes, model), 'worst': images}
    write_json(folder / 'mistakes.json', content)
