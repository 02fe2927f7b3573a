"""Compute a detector's AP by class, and its precision, recall and F1 by confidence threshold."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..errors import check_installed
from ..inference.results import Detections

MAX_IN_LEGEND = 12  # with more classes, the precision-recall curves have no legend
# How many detections of a class count in an image: for AP and AP50 as in mmdet's CocoMetric, for
# the curves all.
MAX_DETECTIONS = [100, 1000, 2**31]


@dataclass(frozen=True)
class Curve:
    """Precision and recall of detections with n different scores, by confidence threshold."""

    scores: np.ndarray  # (n,), in descending order
    precision: np.ndarray  # (n,), element i is the precision of all detections of at least score i
    recall: np.ndarray  # (n,), element i is the recall of all detections of at least score i

    @property
    def f1(self) -> np.ndarray:
        """F1 by confidence threshold, (n,)."""
        return 2 * self.precision * self.recall / np.maximum(self.precision + self.recall, 1e-9)

    @property
    def best_threshold(self) -> float:
        """A confidence threshold with the highest F1, halfway between two scores, or 0 if there are
        no detections.
        """
        if not len(self.scores):
            return 0.0
        best = self.f1.argmax()
        return float((self.scores[best] + np.append(self.scores, 0)[best + 1]) / 2)


@dataclass(frozen=True)
class DetectionCurves:
    """A detector's curves, with boxes matched at an IoU threshold of 0.5, and COCO's AP and AP50 of
    boxes and masks.
    """

    overall: Curve  # of the detections of all classes together
    by_class: list[Curve]
    ap: np.ndarray  # (classes,), NaN for a class without objects
    ap50: np.ndarray  # (classes,), NaN for a class without objects
    mask_ap: np.ndarray | None = None  # (classes,), None without masks
    mask_ap50: np.ndarray | None = None  # (classes,), None without masks


def compute_detection_curves(
    ground_truths: Sequence[Detections], predictions: Sequence[Detections], num_classes: int
) -> DetectionCurves:
    """Compute the curves of predictions of any score, except those on ignored objects.

    Masks are RLE, or None.
    """
    evaluation = match_detections(ground_truths, predictions, num_classes)
    scores = compute_ap(evaluation)
    if ground_truths and all(
        objects.masks is not None for objects in (*ground_truths, *predictions)
    ):
        scores += compute_ap(match_detections(ground_truths, predictions, num_classes, 'segm'))
    matched = [
        *filter(None, evaluation.evalImgs)
    ]  # by class and image, None without objects and detections
    by_class = [
        [entry for entry in matched if entry['category_id'] == label]
        for label in range(num_classes)
    ]
    return DetectionCurves(make_curve(matched), list(map(make_curve, by_class)), *scores)


def compute_ap(evaluation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Compute AP and AP50 by class, (classes,) each, from the matches of a COCOeval."""
    with redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    # The axes are [IoU threshold, recall, class, object size (first: all), maximum number of
    # detections].
    precision = evaluation.eval['precision'][:, :, :, 0]
    precision = np.where(precision < 0, np.nan, precision)
    return precision[..., 0].mean((0, 1)), precision[0, ..., 1].mean(0)


def drop_ignored(ground_truth: Detections, prediction: Detections, num_classes: int) -> Detections:
    """Drop the detections of an image that match ignored objects only, as COCO's evaluation does."""
    if not ground_truth.ignored:
        return prediction
    matched = filter(None, match_detections([ground_truth], [prediction], num_classes).evalImgs)
    ignored = np.concatenate(
        [[], *(np.array(entry['dtIds'])[entry['dtIgnore'][0] > 0] for entry in matched)]
    )
    return prediction.select(
        np.setdiff1d(np.arange(len(prediction)), ignored - 1)
    )  # ids start at 1


def match_detections(
    ground_truths: Sequence[Detections],
    predictions: Sequence[Detections],
    num_classes: int,
    iou_type: str = 'bbox',
) -> Any:
    """Match predictions with the ground truth of each image.

    Return a COCOeval, in which ignored objects are crowds.
    """
    check_installed('average precision', 'pycocotools')
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = COCO()
    images.dataset = {
        # pycocotools reads the height and width of masks, but only from RLE.
        'images': [
            {'id': image_id, 'height': 0, 'width': 0} for image_id in range(len(ground_truths))
        ],
        'categories': [{'id': label} for label in range(num_classes)],
        'annotations': [],
    }

    def make_coco(objects: Sequence[Detections], ignored: Sequence[Detections | None] = ()) -> COCO:
        parts = [(i, part) for i, part in chain(enumerate(objects), enumerate(ignored)) if part]
        rows = [
            np.column_stack([np.full(len(part), i), part.boxes, part.scores, part.labels])
            for i, part in parts
        ]
        rows = np.concatenate([np.empty((0, 7)), *rows])
        rows[:, 3:5] -= rows[:, 1:3]
        coco = images.loadRes(rows) if len(rows) else images
        for crowd in coco.dataset['annotations'][sum(map(len, objects)) :]:
            crowd['iscrowd'] = 1
        if iou_type == 'segm' and len(rows):
            masks = chain.from_iterable(part.masks for _, part in parts)
            for annotation, mask in zip(coco.dataset['annotations'], masks, strict=True):
                annotation['segmentation'] = mask
        return coco

    # Hide the progress that pycocotools prints.
    with redirect_stdout(io.StringIO()):
        images.createIndex()
        objects = make_coco(ground_truths, [image.ignored for image in ground_truths])
        evaluation = COCOeval(objects, make_coco(predictions), iou_type)
        evaluation.params.maxDets, evaluation.params.areaRng = (
            MAX_DETECTIONS,
            evaluation.params.areaRng[:1],
        )
        evaluation.evaluate()
    return evaluation


def make_curve(matched: Sequence[dict[str, Any]]) -> Curve:
    """Compute precision and recall of the detections of at least each score, from the matches of
    pycocotools.
    """
    counted = [entry['dtIgnore'][0] == 0 for entry in matched]
    scores = [
        np.array(entry['dtScores'])[kept] for entry, kept in zip(matched, counted, strict=True)
    ]
    is_correct = [
        entry['dtMatches'][0][kept] > 0 for entry, kept in zip(matched, counted, strict=True)
    ]
    scores, is_correct = np.concatenate([[], *scores]), np.concatenate([[], *is_correct])
    num_objects = sum(np.count_nonzero(entry['gtIgnore'] == 0) for entry in matched)
    order = np.argsort(-scores, kind='stable')
    scores, num_correct = scores[order], np.cumsum(is_correct[order])
    # A threshold keeps all detections with the same score, or none of them.
    last = np.flatnonzero(np.diff(scores, append=-1) < 0)
    return Curve(
        scores[last], num_correct[last] / (last + 1), num_correct[last] / max(1, num_objects)
    )


def draw_detection_curves(
    curves: DetectionCurves, classes: Sequence[str], threshold: float
) -> Figure:
    """Draw precision by recall, F1 by confidence threshold, and lines at the best threshold and the
    given one.
    """
    figure = Figure(figsize=(13, 5.2), layout='constrained')
    left = figure.add_subplot(
        1, 2, 1, xlabel='recall', ylabel='precision', title='Precision and recall at IoU 0.5'
    )
    right = figure.add_subplot(
        1, 2, 2, xlabel='confidence threshold', ylabel='F1', title='F1 at IoU 0.5'
    )
    best, overall = curves.overall.best_threshold, curves.overall
    lines = [('all objects', overall, {'linewidth': 2.5, 'color': 'black'})]
    for name, curve, ap50 in zip(classes, curves.by_class, curves.ap50, strict=True):
        score = 'no objects' if np.isnan(ap50) else f'AP50 {ap50:.2f}'
        lines.append((f'{name}: {score}', curve, {'linewidth': 1}))
    for label, curve, style in lines:
        left.plot(curve.recall, curve.precision, label=label, **style)
        # From 0 to the highest score. F1 is constant between two scores.
        scores, f1 = curve.scores[::-1], curve.f1[::-1]
        right.step([*scores[:1] * 0, *scores], [*f1[:1], *f1], where='pre', **style)
    highest = f'highest F1 of all objects: {overall.f1.max(initial=0):.2f} at {best:.2f}'
    right.axvline(best, linestyle=':', color='black', label=highest)
    right.axvline(
        threshold, linestyle='--', color='grey', label=f'threshold in use: {threshold:.2f}'
    )
    for axes in (left, right):
        axes.set(xlim=(0, 1), ylim=(0, 1.05))
        axes.grid(alpha=0.3)
    right.legend(fontsize='small')
    if len(classes) <= MAX_IN_LEGEND:
        left.legend(fontsize='small')
    return figure
