"""Find and write a model's mistakes on a dataset: confusions, worst images, scores by class."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray
from rich.progress import track

from ..errors import UserError
from ..files import write_figure, write_image
from ..inference.outputs import write_json
from ..inference.predictor import Predictor
from ..inference.results import Detections, Prediction
from ..tasks import DETECTION, SEGMENTATION, TASK_BY_NAME
from .detection_curves import DetectionCurves, compute_detection_curves, encode_detections
from .grids import LARGE_PICTURE_SIDE, draw_cells, draw_grid
from .plots import draw_confusion_matrix, draw_detection_curves
from .samples import load_sample
from .scoring import BACKGROUND, ConfusionMatrix, make_empty_matrix, score_image


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """An image of a dataset with its prediction and score."""

    index: int  # of the image in the dataset
    prediction: Prediction
    is_right: bool  # as a classifier's image may be with a score below 1
    score: float  # from 0 to 1; ``Task.score`` says what it is
    summary: str  # the score, the number of right predictions, and what is wrong


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The mistakes of a model on a dataset."""

    confusion_matrix: ConfusionMatrix  # the sum of those of all images
    # The images with the lowest scores, in ascending order, and those that are wrong first.
    worst: list[ScoredImage]
    # Precision and recall by confidence threshold, only of a detector.
    curves: DetectionCurves | None
    # (classes,), the number of images with each class in their ground truth
    num_images: NDArray[np.int64]
    # Images with as many detections as the model returns at most: the lowest score in each
    lowest_scores: dict[str, float]

    def list_limited(self, score_thr: float) -> list[str]:
        """List the images in which more objects than the model returns may have this score."""
        return [name for name, score in self.lowest_scores.items() if score >= score_thr]


def evaluate_images(
    model: Predictor[Any], dataset: BaseDataset, max_worst: int = 0, batch_size: int = 1
) -> Mistakes:
    """Predict all images of a dataset (:func:`.build_dataset`) and compare them with their ground
    truth.

    Detections that score below the model's ``score_thr`` count only for the curves.
    ``Mistakes.worst`` has at most ``max_worst`` images, all with a score below 1.
    """
    num_classes = len(model.classes)
    num_images = np.zeros(num_classes, np.int64)
    lowest_scores = {}
    matrix = make_empty_matrix(num_classes)
    worst: list[ScoredImage] = []
    objects = []
    detections = []
    predictions = predict_dataset(model, dataset, batch_size)
    for index, (path, ground_truth, prediction) in enumerate(predictions):
        if isinstance(prediction, Detections) and isinstance(ground_truth, Detections):
            has_masks = ground_truth.masks is not None
            objects.append(encode_detections(ground_truth, has_masks))
            detections.append(encode_detections(prediction, has_masks))
            if prediction.is_limited and not model.tiles:
                lowest_scores[str(path)] = prediction.scores[-1]
            prediction = prediction.filter(model.score_thr)
        score = score_image(ground_truth, prediction, num_classes)
        matrix += score.confusion_matrix
        num_images += score.confusion_matrix.ground_truths > 0
        if score.value < 1:
            worst.append(
                ScoredImage(
                    index=index,
                    prediction=prediction,
                    is_right=score.confusion_matrix.is_right,
                    score=score.value,
                    summary=score.describe(model.classes),
                )
            )
            worst = sorted(worst, key=attrgetter('is_right', 'score'))[:max_worst]
    curves = None
    if model.task == DETECTION.name:
        curves = compute_detection_curves(objects, detections, num_classes)
    return Mistakes(
        confusion_matrix=matrix,
        worst=worst,
        curves=curves,
        num_images=num_images,
        lowest_scores=lowest_scores,
    )


def predict_dataset(
    model: Predictor[Any], dataset: BaseDataset, batch_size: int
) -> Iterator[tuple[Path, Prediction, Prediction]]:
    """Yield the path, ground truth and prediction of each image, with detections of any score."""
    # Masks of all detections would need gigabytes in large images, so each is encoded at once.
    unfiltered = replace(model, score_thr=0.0, max_mask_bytes=0)
    starts = range(0, len(dataset), batch_size)
    for start in track(starts, description='images', disable=not sys.stdout.isatty()):
        indices = range(len(dataset))[start : start + batch_size]
        samples = [load_sample(dataset, index, model.classes) for index in indices]
        outcomes = unfiltered.predict_batch([sample.image for sample in samples])
        for sample, outcome in zip(samples, outcomes, strict=True):
            if sample.ground_truth is None:
                raise UserError(f'{sample.path}: it has no ground truth')
            yield sample.path, sample.ground_truth, outcome.get(sample.path)


def score_classes(mistakes: Mistakes, model: Predictor[Any]) -> dict[str, dict[str, float | None]]:
    """Compute the number of ground truths, precision, recall and F1 of each class.

    Segmentation models also have IoU, detectors AP and AP50 of boxes and masks. Scores of a class
    without ground truth, and the precision of one without predictions, are None.
    """
    matrix = mistakes.confusion_matrix
    curves = mistakes.curves
    right = matrix.right
    ground_truths = matrix.ground_truths
    predictions = matrix.predictions
    total = np.where(ground_truths, ground_truths + predictions, np.nan)
    columns: dict[str, NDArray[Any]] = {
        'ground_truths': ground_truths,
        'precision': right / np.where(predictions, predictions, np.nan),
        'recall': right / np.where(ground_truths, ground_truths, np.nan),
        'f1': 2 * right / total,
    }
    if model.task == SEGMENTATION.name:
        columns['IoU'] = right / (total - right)
    if curves:
        columns |= curves.ap
    scores = {}
    for index, name in enumerate(model.classes):
        values = {key: round(column[index].item(), 4) for key, column in columns.items()}
        scores[name] = {key: None if np.isnan(value) else value for key, value in values.items()}
    return scores


def write_mistakes(
    folder: Path, model: Predictor[Any], dataset: BaseDataset, mistakes: Mistakes
) -> None:
    """Write ``confusion.png``, ``curves.png`` of a detector, the worst images, and
    ``mistakes.json``.
    """
    matrix = mistakes.confusion_matrix
    curves = mistakes.curves
    task = TASK_BY_NAME[model.task]
    write_figure(folder / 'confusion.png', draw_confusion_matrix(matrix, model.classes, task))
    content: dict[str, Any] = {
        'counted': task.counted,
        'classes': [*model.classes, BACKGROUND],
        'rows_are_ground_truth': matrix.to_array().tolist(),
    }
    if curves:
        figure = draw_detection_curves(curves, model.classes, model.score_thr)
        write_figure(folder / 'curves.png', figure)
        content['best_threshold'] = round(curves.overall.best_threshold, 4)
    content['by_class'] = score_classes(mistakes, model)
    content['worst'] = []
    for rank, scored in enumerate(mistakes.worst, start=1):
        sample = load_sample(dataset, scored.index, model.classes)
        path = sample.path
        # Images of different folders may have the same name.
        title = f'{"/".join(path.parts[-2:])}: {scored.summary}'
        cells = draw_cells(
            title,
            image=sample.image,
            palette=model.palette,
            ground_truth=sample.ground_truth,
            prediction=scored.prediction,
            side=LARGE_PICTURE_SIDE,
        )
        file = folder / 'worst' / f'{rank:03d}_{path.stem[:50]}.jpg'
        write_image(file, draw_grid(cells, columns=2))
        content['worst'].append(
            {
                'image': str(path),
                'score': round(scored.score, 6),
                'text': scored.summary,
                'drawn': file.name,
            }
        )
    write_json(folder / 'mistakes.json', content)
