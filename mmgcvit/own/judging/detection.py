"""Evaluate detectors, with and without masks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mmengine.structures import BaseDataElement, InstanceData
from numpy.typing import NDArray

from ...errors import format_count
from ...host.tasks import DETECTION
from ...ops.rle import EncodedMasks
from ...predict.detector import convert_masks
from ...predict.drawing import Colour
from ...predict.predictor import Predictor
from ...predict.results import Detections
from ...predict.thresholds import ScoreThresholds
from .choosing import choose_thresholds, compute_f1_scores
from .detection_curves import (
    ClassMatches,
    Curve,
    DetectionCurves,
    EncodedDetections,
    compute_detection_curves,
    encode_detections,
)
from .limits import format_limit
from .matches import LEGEND, draw_matches, match_objects
from .plots import draw_confusion_matrix, draw_detection_curves
from .scoring import BACKGROUND, ConfusionMatrix, ImageScore, make_empty_matrix
from .suspect_objects import find_suspect_objects
from .suspects import ImageLabels
from .task_evaluation import (
    DatasetScores,
    Judgement,
    ScoreCollector,
    TaskEvaluation,
    name_distinctly,
)
from .verdict import ClassScore, ThresholdChoice


@dataclass(frozen=True, eq=False)
class DetectionScores(DatasetScores):
    """The counts at the model's thresholds, and the curves over all of them."""

    curves: DetectionCurves
    # Images with as many detections as the model returns at most: the lowest score in each
    lowest_scores: dict[str, float]

    def list_limited(self, score_thr: float) -> list[str]:
        """List the images in which more objects than the model returns may have this score."""
        return [name for name, score in self.lowest_scores.items() if score >= score_thr]


class DetectionCollector(ScoreCollector[Detections, DetectionScores]):
    """Collect the objects and the detections of each image, with masks as RLE."""

    def __init__(self, num_classes: int):
        super().__init__(num_classes)
        self.objects: list[EncodedDetections] = []
        self.detections: list[EncodedDetections] = []
        self.lowest_scores: dict[str, float] = {}

    def add(
        self, path: Path, ground_truth: Detections, prediction: Detections, score: ImageScore
    ) -> None:
        super().add(path, ground_truth, prediction, score)
        has_masks = ground_truth.masks is not None
        self.objects.append(encode_detections(ground_truth, has_masks))
        self.detections.append(encode_detections(prediction, has_masks))
        if prediction.is_limited:
            self.lowest_scores[str(path)] = prediction.scores.min()

    def collect(self) -> DetectionScores:
        num_classes = len(self.images_by_class)
        return DetectionScores(
            num_images=self.num_images,
            confusion_matrix=self.confusion_matrix,
            images_by_class=self.images_by_class,
            curves=compute_detection_curves(self.objects, self.detections, num_classes),
            lowest_scores=self.lowest_scores,
        )


class DetectionEvaluation(TaskEvaluation[Detections, DetectionScores]):
    """The score of an image is F1, or 1 if there are no objects and no detections.

    Detections on ignored objects do not count.
    """

    task = DETECTION
    prediction_type = Detections
    metric = 'F1'
    # A detector's curves do not depend on its threshold.
    judged_score_thr = 1.0

    def convert_ground_truth(
        self, sample: BaseDataElement, classes: Sequence[str]
    ) -> Detections | None:
        if 'gt_instances' not in sample:
            return None
        objects = convert_objects(sample.gt_instances, classes)
        if sample.get('ignored_instances'):
            return replace(objects, ignored=convert_objects(sample.ignored_instances, classes))
        return objects

    def filter_prediction(self, prediction: Detections, model: Predictor[Detections]) -> Detections:
        return prediction.apply_thresholds(model.thresholds)

    def compute_score(
        self, ground_truth: Detections, prediction: Detections, num_classes: int
    ) -> ImageScore:
        matches = match_objects(ground_truth, prediction)
        labels = matches.detections.labels
        matrix = make_empty_matrix(num_classes)
        matched_labels = ground_truth.labels[matches.pairs[:, 0]], labels[matches.pairs[:, 1]]
        np.add.at(matrix.matched, matched_labels, 1)
        np.add.at(matrix.missed, ground_truth.labels[matches.missed], 1)
        np.add.at(matrix.false, labels[matches.false], 1)
        total = len(ground_truth) + len(matches.detections)
        f1 = 2 * matrix.right.sum() / total if total else 1.0
        return ImageScore(float(f1), matrix)

    def describe_threshold(self, model: Predictor[Detections]) -> str:
        return f'scores from {model.thresholds.overall:g}'

    def describe_drawing(self) -> str:
        return LEGEND

    def draw_beside(
        self,
        image: NDArray[np.uint8],
        ground_truth: Detections,
        prediction: Detections,
        palette: Sequence[Colour],
        scale: float,
    ) -> NDArray[np.uint8]:
        return draw_matches(image, ground_truth, prediction, scale=scale)

    def find_suspects(
        self, ground_truth: Detections, prediction: Detections, model: Predictor[Detections]
    ) -> ImageLabels:
        return find_suspect_objects(
            ground_truth, prediction, model.thresholds.list_by_class(model.classes)
        )

    def make_collector(self, num_classes: int) -> DetectionCollector:
        return DetectionCollector(num_classes)

    def compute_task_scores(self, scores: DetectionScores) -> dict[str, NDArray[np.float64]]:
        curves = scores.curves
        columns = {'AP': curves.boxes.ap, 'AP50': curves.boxes.ap50}
        if curves.masks:
            columns |= {'mask_AP': curves.masks.ap, 'mask_AP50': curves.masks.ap50}
        return columns

    def summarise(self, scores: DetectionScores, model: Predictor[Detections]) -> list[str]:
        lines = super().summarise(scores, model)
        curves = scores.curves
        if not curves.overall.num_objects:
            return lines
        f1 = compute_f1_scores(curves, model.thresholds, model.classes)
        lines.append(
            f'{curves.format_ap()}; confidence threshold: {model.thresholds} (--score-thr): F1 of '
            f'all objects {f1.overall:.2f}, mean over classes {f1.mean:.2f}; F1 of all objects is '
            f'highest at {curves.overall.best_threshold:.2f}'
        )
        lines += format_limited(scores, model, model.thresholds)
        return lines

    def judge(self, scores: DetectionScores, model: Predictor[Detections]) -> Judgement | None:
        """Judge each class at the threshold that is chosen for it. If none finds the objects, take
        the one with the highest F1 of all classes.
        """
        curves = scores.curves
        chosen = choose_thresholds(curves, model.classes)
        in_use = chosen or ScoreThresholds(curves.overall.best_threshold)
        class_scores = self.score_classes(scores, model.classes, in_use)
        if not class_scores:
            return None
        lines = [format_thresholds(curves, chosen, model.classes)]
        lines += format_limited(scores, model, in_use)
        return Judgement(class_scores, '\n'.join(lines), chosen)

    def score_classes(
        self, scores: DetectionScores, classes: Sequence[str], thresholds: ScoreThresholds
    ) -> list[ClassScore]:
        """Score each class that the images have at its threshold."""
        curves = scores.curves
        by_class = thresholds.list_by_class(classes)
        sizes = scores.confusion_matrix.ground_truths
        return [
            score_detected_class(
                name=name,
                curve=curves.by_class[label],
                matches=curves.matches[label],
                threshold=by_class[label],
                num_images=int(scores.images_by_class[label]),
            )
            for label, name in enumerate(classes)  # names as --score-thr takes them
            if sizes[label]
        ]

    def draw_plots(
        self, scores: DetectionScores, model: Predictor[Detections]
    ) -> dict[str, Figure]:
        """Draw the confusion matrix, with missed objects and false detections, and the curves."""
        matrix = scores.confusion_matrix
        confusion = draw_confusion_matrix(
            matrix.to_array(),
            totals=count_rows(matrix),
            names=[*model.classes, BACKGROUND],
            counted=self.task.counted,
        )
        curves = draw_detection_curves(scores.curves, model.classes, model.thresholds)
        return {'confusion.png': confusion, 'curves.png': curves}

    def list_details(self, scores: DetectionScores, classes: Sequence[str]) -> dict[str, Any]:
        curves = scores.curves
        return {
            'best_threshold': round(curves.overall.best_threshold, 4),
            'best_threshold_by_class': {
                name: round(curve.best_threshold, 4)
                for name, curve in zip(name_distinctly(classes), curves.by_class, strict=True)
                if curve.num_objects and len(curve.scores)
            },
        }


def convert_objects(objects: InstanceData, classes: Sequence[str]) -> Detections:
    """Convert the boxes, labels and masks of mmdet's ground truth."""
    boxes = getattr(objects.bboxes, 'tensor', objects.bboxes).numpy()
    masks = objects.get('masks')
    if isinstance(masks, EncodedMasks):
        masks = convert_masks(list(masks.masks), masks.size)
    elif masks is not None:
        masks = masks.to_ndarray().astype(bool)
    scores = np.ones(len(boxes), np.float32)
    return Detections(
        boxes=boxes,
        scores=scores,
        labels=objects.labels.numpy(),
        classes=classes,
        masks=masks,
    )


def count_rows(matrix: ConfusionMatrix) -> NDArray[np.int64]:
    """Return by what the rows of a drawn confusion matrix are divided, (classes + 1,).

    The last row, the false detections, is not a share of anything. Divided by its own sum, a single
    false detection would be darkest.
    """
    objects = matrix.ground_truths
    return np.append(objects, max(objects.max(initial=0), matrix.false.sum()))


def score_detected_class(
    name: str, curve: Curve, matches: ClassMatches, threshold: float, num_images: int
) -> ClassScore:
    """Score a class of a detector, which has objects, at a threshold."""
    num_detections, num_correct = curve.count_at(threshold)
    low, high = matches.count_at(threshold).compute_interval('F1')
    objects = format_count(curve.num_objects, 'object')
    return ClassScore(
        score=2 * num_correct / (num_detections + curve.num_objects),
        low=low,
        high=high,
        name=name,
        basis=f'{objects} in {format_count(num_images, "image")}',
        num_images=num_images,
        size=curve.num_objects,
        details=f'{num_correct} found, {curve.num_objects - num_correct} missed, '
        f'{num_detections - num_correct} false',
        threshold=ThresholdChoice(
            in_use=threshold,
            best=curve.rounded_threshold,
            best_score=curve.f1.max(initial=0).item(),
        ),
    )


def format_limited(
    scores: DetectionScores, model: Predictor[Detections], thresholds: ScoreThresholds
) -> list[str]:
    """Return a line about images with as many detections as the model returns at most, if the
    lowest threshold keeps them all.
    """
    limited = scores.list_limited(min(thresholds.list_by_class(model.classes)))
    # In tiles, the limit of one tile says little about the counts of the image.
    if not limited or model.tiles:
        return []
    return [format_limit(limited, scores.num_images, model)]


def format_thresholds(
    curves: DetectionCurves, thresholds: ScoreThresholds | None, classes: Sequence[str]
) -> str:
    """Return a detector's scores and the thresholds that its predictions use as text."""
    if thresholds is None:
        best_f1 = curves.overall.f1.max(initial=0)
        return f'no confidence threshold finds the objects (highest F1: {best_f1:.2f})'
    single = compute_f1_scores(curves, ScoreThresholds(thresholds.overall), classes)
    scores = compute_f1_scores(curves, thresholds, classes)
    text = (
        f'{curves.format_ap()}; confidence threshold of predictions: {thresholds.overall:.2f}, '
        f'with the highest F1 of all objects ({single.overall:.2f}; mean over classes '
        f'{single.mean:.2f})'
    )
    if thresholds.by_class:
        own = ', '.join(f'{name} {value:.2f}' for name, value in thresholds.by_class.items())
        text += (
            f'; own ones of classes that gain by them on images left out ({own}): F1 of all '
            f'objects {scores.overall:.2f}, mean over classes {scores.mean:.2f}'
        )
    return (
        f'{text}: {scores.num_correct} of {scores.num_objects} objects found, '
        f'{scores.num_objects - scores.num_correct} missed, '
        f'{scores.num_detections - scores.num_correct} false'
    )
