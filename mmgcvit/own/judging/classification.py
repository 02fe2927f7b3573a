"""Evaluate classifiers of images."""

from collections.abc import Sequence

import numpy as np
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray

from ...errors import UserError
from ...host.tasks import CLASSIFICATION
from ...predict.predictor import Predictor
from ...predict.results import Classification
from .counted import CountedEvaluation, CountedScores
from .intervals import LEVEL, ImageCounts
from .scoring import ImageScore, make_empty_matrix
from .suspects import GivenLabel, ImageLabels, Kind, Suspect
from .verdict import ClassScore


class ClassificationEvaluation(CountedEvaluation[Classification]):
    """The score of an image is the predicted score of its true class."""

    task = CLASSIFICATION
    prediction_type = Classification
    metric = 'F1'

    def convert_ground_truth(
        self, sample: BaseDataElement, classes: Sequence[str]
    ) -> Classification | None:
        """Convert the class of a sample. Raise a UserError if it has several, or one that the model
        does not have.
        """
        if 'gt_label' not in sample:
            return None
        if len(sample.gt_label) != 1:
            raise UserError(
                f'the image has {len(sample.gt_label)} classes. Expected one class per image'
            )
        label = sample.gt_label.item()
        if label >= len(classes):
            raise UserError(
                f'its class has the index {label}, but the model has {len(classes)} classes. Use a '
                'dataset with the classes of the model'
            )
        scores = np.eye(len(classes), dtype=np.float32)[label]
        return Classification(label=label, class_name=classes[label], score=1.0, scores=scores)

    def compute_score(
        self, ground_truth: Classification, prediction: Classification, num_classes: int
    ) -> ImageScore:
        matrix = make_empty_matrix(num_classes)
        matrix.matched[ground_truth.label, prediction.label] = 1
        return ImageScore(float(prediction.scores[ground_truth.label]), matrix)

    def describe_score(self, score: ImageScore, classes: Sequence[str]) -> str:
        word = 'right' if score.confusion_matrix.is_right else 'wrong'
        return f'{word}, {self.task.score} {score.value:.2f}'

    def find_suspects(
        self,
        ground_truth: Classification,
        prediction: Classification,
        model: Predictor[Classification],
    ) -> ImageLabels:
        given = ground_truth.label
        found = prediction.label
        given_score = float(prediction.scores[given])
        labels = [GivenLabel(given, size=1)]
        if found == given:
            return ImageLabels(labels)
        suspect = Suspect(
            kind=Kind.SWAPPED,
            given=given,
            found=found,
            given_score=given_score,
            found_score=float(prediction.scores[found]),
            size=1,
        )
        return ImageLabels(labels, [suspect])

    def describe_kinds(self, classes: Sequence[str]) -> str | None:
        return 'each image has one class, so a label can only be swapped'

    def compute_task_scores(self, scores: CountedScores) -> dict[str, NDArray[np.float64]]:
        return {}

    def format_mean(
        self, class_scores: Sequence[ClassScore], scores: CountedScores, classes: Sequence[str]
    ) -> str:
        """Return the accuracy and its interval."""
        # An image counts once, not in the class that it has and in the one that it is predicted as.
        matrix = scores.confusion_matrix
        num_right = matrix.right.sum()
        num_images = matrix.ground_truths.sum()
        is_right = np.repeat([1, 0], [num_right, num_images - num_right])
        low, high = ImageCounts(is_right, 1 - is_right).compute_interval('IoU')  # right among all
        return f'accuracy {num_right / num_images:.3f} ({LEVEL} % interval {low:.2f} to {high:.2f})'
