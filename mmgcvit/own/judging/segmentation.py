"""Evaluate semantic segmentation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray

from ...errors import UserError
from ...host.tasks import SEGMENTATION
from ...predict.drawing import is_background
from ...predict.predictor import Predictor
from ...predict.results import Segmentation, make_segmentation
from .counted import CountedEvaluation, CountedScores
from .scoring import ConfusionMatrix, ImageScore
from .suspect_regions import find_suspect_regions
from .suspects import ImageLabels
from .verdict import ClassScore


class SegmentationEvaluation(CountedEvaluation[Segmentation]):
    """The score of an image is the mean IoU of the classes in both segmentation maps, or 1 if there
    are no labelled pixels.

    Labels in the ground truth that are not class indices, such as 255, do not count.
    """

    task = SEGMENTATION
    prediction_type = Segmentation
    metric = 'IoU'

    def convert_ground_truth(
        self, sample: BaseDataElement, classes: Sequence[str]
    ) -> Segmentation | None:
        """Convert the segmentation map of a sample. Unlabelled pixels keep the ignore index."""
        if 'gt_sem_seg' not in sample:
            return None
        return make_segmentation(sample.gt_sem_seg.data[0].numpy(), classes)

    def compute_score(
        self, ground_truth: Segmentation, prediction: Segmentation, num_classes: int
    ) -> ImageScore:
        """Score a segmentation map. Raise a UserError if the maps have different sizes."""
        matrix = count_pixels(ground_truth.label_map, prediction.label_map, num_classes)
        union = matrix.ground_truths + matrix.predictions - matrix.right
        occurs = union > 0
        iou = matrix.right[occurs] / union[occurs]
        return ImageScore(float(iou.mean()) if len(iou) else 1.0, matrix)

    def find_suspects(
        self, ground_truth: Segmentation, prediction: Segmentation, model: Predictor[Segmentation]
    ) -> ImageLabels:
        return find_suspect_regions(
            ground_truth.label_map,
            prediction.label_map,
            num_classes=len(model.classes),
            background=self.list_background(model.classes),
        )

    def describe_kinds(self, classes: Sequence[str]) -> str | None:
        if self.list_background(classes):
            return None
        return 'the classes have no background, so a label can only be misplaced or swapped'

    def compute_task_scores(self, scores: CountedScores) -> dict[str, NDArray[np.float64]]:
        matrix = scores.confusion_matrix
        union = matrix.ground_truths + matrix.predictions - matrix.right
        return {'IoU': matrix.right / np.where(matrix.ground_truths, union, np.nan)}

    def list_background(self, classes: Sequence[str]) -> list[int]:
        """Return the indices of the background, if there are other classes."""
        found = [index for index, name in enumerate(classes) if is_background(index, name)]
        return found if len(found) < len(classes) else []

    def format_mean(
        self, class_scores: Sequence[ClassScore], scores: CountedScores, classes: Sequence[str]
    ) -> str:
        """Return the mean IoU."""
        text = f'mIoU {np.mean([entry.score for entry in class_scores]):.3f}'
        if self.list_background(classes):
            text += " without the background, which the log's mIoU counts"
        return text


def count_pixels(
    labels: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], num_classes: int
) -> ConfusionMatrix:
    """Count the labelled pixels of two segmentation maps (height, width).

    Raise a UserError if they have different sizes.
    """
    if labels.shape != predicted.shape:
        raise UserError(
            f'(height, width) of the image is {predicted.shape}, of its ground truth '
            f"{labels.shape}. To find such images, run 'mmgcvit check-data CONFIG'"
        )
    is_labelled = labels < num_classes
    cells = labels[is_labelled].astype(np.int64) * num_classes + predicted[is_labelled]
    counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    none = np.zeros(num_classes, np.int64)
    return ConfusionMatrix(matched=counts, missed=none, false=none)
