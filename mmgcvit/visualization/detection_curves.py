"""Compute a detector's average precision by class, and its precision, recall and F1 by confidence threshold."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ..errors import check_installed
from ..inference import Detections

# Above this number of classes, curves have no legend.
MAX_IN_LEGEND = 12


@dataclass(frozen=True)
class Curve:
    """Precision and recall (n,) if detections below each of ``scores`` (n,), in descending order, are dropped."""

    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """F1 (n,)."""
        return 2 * self.precision * self.recall / np.maximum(self.precision + self.recall, 1e-9)

    @property
    def best_threshold(self) -> float:
        """The confidence threshold with the highest F1; 0 without detections."""
        return float(self.scores[self.f1.argmax()]) if len(self.scores) else 0.0


@dataclass(frozen=True)
class DetectionCurves:
    """Curves of all objects and of each class at an IoU of 0.5, and COCO's AP and AP50 of boxes by class (or NaN)."""

    overall: Curve
    by_class: list[Curve]
    ap: np.ndarray
    ap50: np.ndarray


def compute_detection_curves(
    ground_truths: Sequence[Detections], predictions: Sequence[Detections], num_classes: int
) -> DetectionCurves:
    """Match the predictions of each image with its ground truth by pycocotools, and compute the curves.

    Args:
        ground_truths: The objects of each image.
        predictions: The detections of each image, with as low a confidence threshold as possible.
        num_classes: Number of classes.
    """
    check_installed('average precision', 'pycocotools')
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def make_coco(images: Sequence[Detections]) -> COCO:
        annotations = []
        for image_id, image in enumerate(images):
            for box, score, label in zip(image.boxes.tolist(), image.scores.tolist(), image.labels, strict=True):
                bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                entry = {'image_id': image_id, 'category_id': int(label), 'bbox': bbox, 'area': bbox[2] * bbox[3]}
                annotations.append({'id': len(annotations) + 1, 'score': score, 'iscrowd': 0, **entry})
        coco = COCO()
        coco.dataset = {
            'images': [{'id': image_id} for image_id in range(len(images))],
            'categories': [{'id': label} for label in range(num_classes)],
            'annotations': annotations,
        }
        coco.createIndex()
        return coco

    # pycocotools prints its progress.
    with redirect_stdout(io.StringIO()):
        evaluation = COCOeval(make_coco(ground_truths), make_coco(predictions), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
    # Axes: IoU threshold, recall, class, areas (the first: all), maximum number of detections (the last: 100).
    precision = evaluation.eval['precision'][:, :, :, 0, -1]
    precision = np.where(precision < 0, np.nan, precision)
    num_images, num_areas = len(ground_truths), len(evaluation.params.areaRng)
    scores, is_right, counts = [], [], []
    for label in range(num_classes):
        begin = label * num_areas * num_images
        # An entry is None if the image has neither objects nor detections of the class.
        images = [image for image in evaluation.evalImgs[begin : begin + num_images] if image is not None]
        scores.append(np.concatenate([image['dtScores'] for image in images] or [[]]))
        is_right.append(np.concatenate([image['dtMatches'][0] > 0 for image in images] or [[]]))
        counts.append(sum(len(image['gtIds']) for image in images))
    return DetectionCurves(
        overall=make_curve(np.concatenate(scores), np.concatenate(is_right), sum(counts)),
        by_class=[make_curve(*values) for values in zip(scores, is_right, counts, strict=True)],
        ap=precision.mean((0, 1)),
        ap50=precision[0].mean(0),
    )


def make_curve(scores: np.ndarray, is_right: np.ndarray, num_objects: int) -> Curve:
    """Sort detections (n,) by descending score and accumulate the right ones."""
    order = np.argsort(-scores, kind='stable')
    num_right = np.cumsum(is_right[order])
    return Curve(scores[order], num_right / np.arange(1, len(order) + 1), num_right / max(1, num_objects))


def draw_detection_curves(curves: DetectionCurves, classes: Sequence[str], threshold: float) -> Figure:
    """Draw precision by recall and F1 by confidence threshold, of each class and of all objects."""
    figure = Figure(figsize=(13, 5.2), layout='constrained')
    left = figure.add_subplot(1, 2, 1, xlabel='recall', ylabel='precision', title='Precision and recall at IoU 0.5')
    right = figure.add_subplot(1, 2, 2, xlabel='confidence threshold', ylabel='F1', title='F1 at IoU 0.5')
    for name, curve, ap50 in zip(classes, curves.by_class, curves.ap50, strict=True):
        left.plot(curve.recall, curve.precision, linewidth=1, label=f'{name}: AP50 {ap50:.2f}')
        right.plot(curve.scores, curve.f1, linewidth=1)
    best, overall = curves.overall.best_threshold, curves.overall
    left.plot(overall.recall, overall.precision, linewidth=2.5, color='black', label='all objects')
    f1 = overall.f1.max(initial=0)
    right.plot(overall.scores, overall.f1, linewidth=2.5, color='black', label=f'all objects: {f1:.2f} at {best:.2f}')
    right.axvline(best, linestyle=':', color='black')
    right.axvline(threshold, linestyle='--', color='grey', label=f'threshold in use: {threshold:.2f}')
    for axes in (left, right):
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        axes.grid(alpha=0.3)
    right.legend(fontsize='small')
    if len(classes) <= MAX_IN_LEGEND:
        left.legend(fontsize='small')
    return figure
