"""Compute a detector's AP by class, and its precision, recall and F1 by confidence threshold."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import check_installed
from ..inference.results import Detections

# How many detections of a class count in an image: all, where mmdet's CocoMetric counts 100.
MAX_DETECTIONS = 2**31


@dataclass(frozen=True)
class Curve:
    """Counts of detections with n different scores, by confidence threshold."""

    scores: np.ndarray  # (n,), in descending order
    num_detections: np.ndarray  # (n,), the number of detections of at least each score
    num_correct: np.ndarray  # (n,), how many of them match an object
    num_objects: int

    @property
    def f1(self) -> np.ndarray:
        """F1 by confidence threshold, (n,)."""
        return 2 * self.num_correct / (self.num_detections + self.num_objects)

    def count_at(self, threshold: float) -> tuple[int, int]:
        """Return the number of detections of at least this score, and how many of them are
        right.
        """
        kept = int((self.scores >= threshold).sum())
        if not kept:
            return 0, 0
        return int(self.num_detections[kept - 1]), int(self.num_correct[kept - 1])

    @property
    def best_threshold(self) -> float:
        """A confidence threshold with the highest F1, halfway between two scores, or 0 if there are
        no detections.
        """
        if not len(self.scores):
            return 0.0
        best = self.f1.argmax()
        next_score = np.append(self.scores, 0)[best + 1]
        return float((self.scores[best] + next_score) / 2)


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

    def format_ap(self) -> str:
        """Return the means of AP and AP50 over the classes that have objects."""
        text = f'box mAP {np.nanmean(self.ap):.3f}, AP50 {np.nanmean(self.ap50):.3f}'
        if self.mask_ap is not None:
            mask_ap, mask_ap50 = np.nanmean(self.mask_ap), np.nanmean(self.mask_ap50)
            text += f'; mask mAP {mask_ap:.3f}, AP50 {mask_ap50:.3f}'
        return text


def compute_detection_curves(
    ground_truths: Sequence[Detections], predictions: Sequence[Detections], num_classes: int
) -> DetectionCurves:
    """Compute the curves of predictions of any score, except those on ignored objects.

    Masks are RLE, or None.
    """
    evaluation = match_detections(ground_truths, predictions, num_classes)
    scores = compute_ap(evaluation)
    have_masks = [objects.masks is not None for objects in (*ground_truths, *predictions)]
    if have_masks and all(have_masks):
        scores += compute_ap(match_detections(ground_truths, predictions, num_classes, 'segm'))
    # By class and image; None without objects and detections.
    matches = [match for match in evaluation.evalImgs if match is not None]
    by_class = []
    for label in range(num_classes):
        of_class = [match for match in matches if match['category_id'] == label]
        by_class.append(make_curve(of_class))
    return DetectionCurves(make_curve(matches), by_class, *scores)


def compute_ap(evaluation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Compute AP and AP50 by class, (classes,) each, from the matches of a COCOeval."""
    # The axes are [IoU threshold, recall, class, object size (all), number of detections (all)].
    precision = evaluation.eval['precision'][..., 0, 0]
    precision = np.where(precision < 0, np.nan, precision)
    return precision.mean((0, 1)), precision[0].mean(0)


def drop_ignored(ground_truth: Detections, prediction: Detections, num_classes: int) -> Detections:
    """Drop detections of an image that match ignored objects only, as COCO's evaluation does."""
    if not ground_truth.ignored:
        return prediction
    is_counted = np.ones(len(prediction), bool)
    evaluation = match_detections([ground_truth], [prediction], num_classes)
    for match in filter(None, evaluation.evalImgs):
        indices = np.array(match['dtIds'], int) - 1  # ids start at 1
        is_counted[indices] = ~match['dtIgnore'][0].astype(bool)
    return prediction.select(np.flatnonzero(is_counted))


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
    from pycocotools.cocoeval import COCOeval

    # Hide the progress that pycocotools prints.
    with redirect_stdout(io.StringIO()):
        cocos = [make_coco(images, num_classes) for images in (ground_truths, predictions)]
        evaluation = COCOeval(*cocos, iou_type)
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def make_coco(images: Sequence[Detections], num_classes: int) -> Any:
    """Make pycocotools' COCO of the objects of each image."""
    from pycocotools.coco import COCO

    annotations = []
    for image_id, objects in enumerate(images):
        for part, iscrowd in ((objects, 0), (objects.ignored, 1)):
            for found in part or ():
                left, top, right, bottom = found.box.astype(float)
                width, height = right - left, bottom - top
                annotation = {
                    'id': len(annotations) + 1,
                    'image_id': image_id,
                    'category_id': found.label,
                    'bbox': [left, top, width, height],
                    'area': width * height,
                    'segmentation': found.mask,
                    'score': found.score,
                    'iscrowd': iscrowd,
                }
                annotations.append(annotation)
    coco = COCO()
    coco.dataset = {
        # pycocotools reads the height and width of masks, but only from RLE.
        'images': [{'id': i, 'height': 0, 'width': 0} for i in range(len(images))],
        'categories': [{'id': label} for label in range(num_classes)],
        'annotations': annotations,
    }
    coco.createIndex()
    return coco


def make_curve(matches: Sequence[dict[str, Any]]) -> Curve:
    """Count the detections of at least each score, from the matches of pycocotools at the lowest
    IoU threshold.
    """
    scores, is_correct, num_objects = [], [], 0
    for match in matches:
        counted = match['dtIgnore'][0] == 0
        scores.append(np.array(match['dtScores'])[counted])
        is_correct.append(match['dtMatches'][0][counted] > 0)
        num_objects += np.count_nonzero(match['gtIgnore'] == 0)
    scores = np.concatenate([[], *scores])
    is_correct = np.concatenate([np.empty(0, bool), *is_correct])
    order = np.argsort(-scores, kind='stable')
    scores, num_correct = scores[order], np.cumsum(is_correct[order])
    # A threshold keeps all detections with the same score, or none of them.
    last = np.flatnonzero(np.diff(scores, append=-1) < 0)
    return Curve(scores[last], last + 1, num_correct[last], num_objects)
