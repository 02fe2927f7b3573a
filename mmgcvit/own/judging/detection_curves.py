"""Compute a detector's AP by class, and its precision, recall and F1 by confidence threshold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...host.runners import silence_output
from ...ops.rle import RLE
from ...predict.results import Detections, encode_masks
from .intervals import ImageCounts

# How many detections of a class count in an image: all, where mmdet's CocoMetric counts 100.
MAX_DETECTIONS = 2**31


@dataclass(frozen=True, eq=False)
class EncodedDetections:
    """Objects or detections of an image, with RLE instead of masks, which would not fit in memory
    for a dataset.
    """

    boxes: NDArray[np.float32]  # (n, 4) = [left, top, right, bottom] in pixels of the image
    scores: NDArray[np.float32]  # (n,)
    labels: NDArray[np.int64]  # (n,)
    masks: list[RLE] | None  # n
    ignored: 'EncodedDetections | None'


def encode_detections(objects: Detections, with_masks: bool) -> EncodedDetections:
    """Encode objects or detections, without masks unless ``with_masks``."""
    masks = None
    if with_masks and objects.masks is not None:
        masks = encode_masks(objects.masks)
    ignored = None
    if objects.ignored is not None:
        ignored = encode_detections(objects.ignored, with_masks)
    return EncodedDetections(
        boxes=objects.boxes,
        scores=objects.scores,
        labels=objects.labels,
        masks=masks,
        ignored=ignored,
    )


@dataclass(frozen=True, eq=False)
class Curve:
    """Counts of detections with n different scores, by confidence threshold."""

    scores: NDArray[np.floating[Any]]  # (n,), in descending order
    num_detections: NDArray[np.int64]  # (n,), the number of detections of at least each score
    num_correct: NDArray[np.int64]  # (n,), how many of them match an object
    num_objects: int

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 by confidence threshold, (n,)."""
        return 2 * self.num_correct / (self.num_detections + self.num_objects)

    def count_at(self, threshold: float) -> tuple[int, int]:
        """Return the number of detections of at least this score, and how many of them are
        right.
        """
        kept = np.count_nonzero(self.scores >= threshold)
        if not kept:
            return 0, 0
        return self.num_detections[kept - 1].item(), self.num_correct[kept - 1].item()

    def compute_f1_at(self, threshold: float) -> float:
        """Return F1 of the detections of at least this score, NaN without objects and detections."""
        num_detections, num_correct = self.count_at(threshold)
        total = num_detections + self.num_objects
        return 2 * num_correct / total if total else math.nan

    @property
    def best_threshold(self) -> float:
        """A confidence threshold with the highest F1, halfway between two scores, or 0 if there are
        no detections.
        """
        if not len(self.scores):
            return 0.0
        best = self.f1.argmax()
        return np.append(self.scores, 0)[best : best + 2].mean().item()

    @property
    def rounded_threshold(self) -> float:
        """The best threshold with four digits, or with all if four would change F1."""
        exact = self.best_threshold
        rounded = round(exact, 4)
        return rounded if self.count_at(rounded) == self.count_at(exact) else exact


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """The objects of a class in each of n images, and its m detections, except those on ignored
    objects.
    """

    num_objects: NDArray[np.int64]  # (n,)
    images: NDArray[np.int64]  # (m,), the index of each detection's image
    scores: NDArray[np.float64]  # (m,)
    is_correct: NDArray[np.bool_]  # (m,), whether it matches an object

    def count_images_at(self, threshold: float) -> NDArray[np.int64]:
        """Return the number of detections of at least this score in each image, and how many of
        them are right, (n, 2).
        """
        num_images = len(self.num_objects)
        is_kept = self.scores >= threshold
        found = np.bincount(self.images[is_kept], minlength=num_images)
        right = np.bincount(self.images[is_kept & self.is_correct], minlength=num_images)
        return np.stack([found, right], 1)

    def count_at(self, threshold: float) -> ImageCounts:
        """Count right detections, missed objects and false detections of at least this score."""
        found, right = self.count_images_at(threshold).T
        wrong = self.num_objects + found - 2 * right
        occurs = right + wrong > 0
        return ImageCounts(right[occurs], wrong[occurs])


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """COCO's AP of each class, NaN for a class without objects."""

    ap: NDArray[np.float64]  # (classes,), the mean over IoU thresholds from 0.5 to 0.95
    ap50: NDArray[np.float64]  # (classes,), at an IoU threshold of 0.5

    def format_means(self) -> str:
        """Return the means over the classes that have objects."""
        return f'mAP {np.nanmean(self.ap):.3f}, AP50 {np.nanmean(self.ap50):.3f}'


@dataclass(frozen=True, eq=False)
class DetectionCurves:
    """A detector's curves, with boxes matched at an IoU threshold of 0.5, and COCO's AP of boxes
    and masks.
    """

    overall: Curve  # of the detections of all classes together
    by_class: list[Curve]
    matches: list[ClassMatches]  # of each class
    boxes: AveragePrecision
    masks: AveragePrecision | None  # None if objects or detections have no masks

    def format_ap(self) -> str:
        """Return the means of AP and AP50 over the classes that have objects."""
        text = f'box {self.boxes.format_means()}'
        if self.masks:
            text += f'; mask {self.masks.format_means()}'
        return text


def compute_detection_curves(
    ground_truths: Sequence[EncodedDetections],
    predictions: Sequence[EncodedDetections],
    num_classes: int,
) -> DetectionCurves:
    """Compute the curves of predictions of any score, except those on ignored objects."""
    evaluation = match_detections(ground_truths, predictions, num_classes)
    of_masks = None
    if all(objects.masks is not None for objects in (*ground_truths, *predictions)):
        of_masks = compute_ap(
            match_detections(ground_truths, predictions, num_classes, iou_type='segm')
        )
    matches = np.reshape(evaluation.evalImgs, (num_classes, len(ground_truths)))
    by_class = [make_curve(of_class) for of_class in matches]
    return DetectionCurves(
        overall=make_curve(evaluation.evalImgs),
        by_class=by_class,
        matches=[collect_matches(of_class) for of_class in matches],
        boxes=compute_ap(evaluation),
        masks=of_masks,
    )


def compute_ap(evaluation: Any) -> AveragePrecision:
    """Compute AP by class from the matches of a COCOeval."""
    # The axes are [IoU threshold, recall, class, object size (all), number of detections (all)].
    precision = evaluation.eval['precision'][..., 0, 0]
    precision = np.where(precision < 0, np.nan, precision)
    return AveragePrecision(ap=precision.mean((0, 1)), ap50=precision[0].mean(0))


def drop_ignored(ground_truth: Detections, prediction: Detections) -> Detections:
    """Drop detections of an image that match ignored objects only, as COCO's evaluation does."""
    if not ground_truth.ignored:
        return prediction
    is_counted = np.ones(len(prediction), bool)
    evaluation = match_detections(
        [encode_detections(ground_truth, with_masks=False)],
        [encode_detections(prediction, with_masks=False)],
        num_classes=len(prediction.classes),
    )
    for match in filter(None, evaluation.evalImgs):
        indices = np.array(match['dtIds'], int) - 1  # ids start at 1
        is_counted[indices] = ~match['dtIgnore'][0]
    return prediction.select(is_counted)


def match_detections(
    ground_truths: Sequence[EncodedDetections],
    predictions: Sequence[EncodedDetections],
    num_classes: int,
    iou_type: str = 'bbox',
) -> Any:
    """Match predictions with the ground truth of each image.

    Return a COCOeval, in which ignored objects are crowds.
    """
    from pycocotools.cocoeval import COCOeval

    with silence_output():  # pycocotools prints its progress
        evaluation = COCOeval(
            make_coco(ground_truths, num_classes), make_coco(predictions, num_classes), iou_type
        )
        evaluation.params.maxDets = [MAX_DETECTIONS]
        del evaluation.params.areaRng[1:]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def make_coco(images: Sequence[EncodedDetections], num_classes: int) -> Any:
    """Make pycocotools' COCO of the objects of each image."""
    from pycocotools.coco import COCO

    annotations: list[dict[str, Any]] = []
    for image_id, objects in enumerate(images):
        annotations += make_annotations(objects, image_id=image_id, iscrowd=0)
        if objects.ignored:
            annotations += make_annotations(objects.ignored, image_id=image_id, iscrowd=1)
    for number, annotation in enumerate(annotations, start=1):
        annotation['id'] = number
    coco = COCO()
    coco.dataset = {
        # pycocotools reads the height and width of masks, but only from RLE.
        'images': [{'id': i, 'height': 0, 'width': 0} for i in range(len(images))],
        'categories': [{'id': label} for label in range(num_classes)],
        'annotations': annotations,
    }
    coco.createIndex()
    return coco


def make_annotations(
    objects: EncodedDetections, image_id: int, iscrowd: int
) -> list[dict[str, Any]]:
    """Make COCO's annotations of objects or detections, without ids."""
    annotations = []
    for index, label in enumerate(objects.labels.tolist()):
        box = objects.boxes[index].astype(float)
        box[2:] -= box[:2]
        annotations.append(
            {
                'image_id': image_id,
                'category_id': label,
                'bbox': box,
                'area': box[2] * box[3],
                'segmentation': objects.masks[index] if objects.masks else None,
                'score': objects.scores[index].item(),
                'iscrowd': iscrowd,
            }
        )
    return annotations


def make_curve(matches: Sequence[dict[str, Any] | None]) -> Curve:
    """Count the detections of at least each score, from the matches of pycocotools at the lowest
    IoU threshold, which are None for images without objects and detections.
    """
    found: list[NDArray[np.float64]] = [np.empty((2, 0))]
    num_objects = 0
    for match in filter(None, matches):
        scores_and_matches = np.stack([match['dtScores'], match['dtMatches'][0] > 0])
        found.append(scores_and_matches[:, ~match['dtIgnore'][0]])
        num_objects += np.count_nonzero(match['gtIgnore'] == 0)
    scores, is_correct = np.concatenate(found, axis=1)
    order = np.argsort(-scores, kind='stable')
    scores = scores[order]
    num_correct = np.cumsum(is_correct[order], dtype=int)
    # A threshold keeps all detections with the same score, or none of them.
    last = np.flatnonzero(np.diff(scores, append=-1) < 0)
    return Curve(
        scores=scores[last],
        num_detections=last + 1,
        num_correct=num_correct[last],
        num_objects=num_objects,
    )


def collect_matches(matches: Sequence[dict[str, Any] | None]) -> ClassMatches:
    """Collect the matches of a class in each image, as :func:`make_curve` gets them."""
    num_objects = np.zeros(len(matches), np.int64)
    found: list[NDArray[np.float64]] = [np.empty((3, 0))]
    for image, match in enumerate(matches):
        if match is None:
            continue
        scores = np.asarray(match['dtScores'], float)
        rows = np.stack([np.full(len(scores), image), scores, match['dtMatches'][0] > 0])
        found.append(rows[:, ~match['dtIgnore'][0]])
        num_objects[image] = np.count_nonzero(match['gtIgnore'] == 0)
    images, scores, is_correct = np.concatenate(found, axis=1)
    return ClassMatches(num_objects, images.astype(np.int64), scores, is_correct.astype(bool))
