"""Judge predictions that have no confidence threshold by the counts of each image: segmentation
maps and the classes of images.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import format_count
from ...predict.predictor import Predictor
from ...predict.results import P
from .intervals import ImageCounts
from .scoring import ConfusionMatrix, ImageScore
from .task_evaluation import (
    DatasetScores,
    Judgement,
    ScoreCollector,
    TaskEvaluation,
    name_distinctly,
)
from .verdict import ClassScore


@dataclass(frozen=True, eq=False)
class CountedScores(DatasetScores):
    """The counts of the predictions for a dataset, by class, and by class and image."""

    image_counts: list[ImageCounts]  # of each class


class CountCollector(ScoreCollector[P, CountedScores]):
    """Collect the counts of each class from the confusion matrix of each image."""

    def __init__(self, num_classes: int):
        super().__init__(num_classes)
        self.right: list[list[int]] = [[] for _ in range(num_classes)]
        self.wrong: list[list[int]] = [[] for _ in range(num_classes)]

    def add(self, path: Path, ground_truth: P, prediction: P, score: ImageScore) -> None:
        super().add(path, ground_truth, prediction, score)
        self.add_counts(score.confusion_matrix)

    def add_counts(self, matrix: ConfusionMatrix) -> None:
        """Add the counts of an image. A confusion is wrong for both classes."""
        total = matrix.ground_truths + matrix.predictions
        for label in np.flatnonzero(total):
            right = matrix.right[label].item()
            self.right[label].append(right)
            self.wrong[label].append(total[label].item() - 2 * right)

    def collect(self) -> CountedScores:
        image_counts = [
            ImageCounts(np.array(right, np.int64), np.array(wrong, np.int64))
            for right, wrong in zip(self.right, self.wrong, strict=True)
        ]
        return CountedScores(
            num_images=self.num_images,
            confusion_matrix=self.confusion_matrix,
            images_by_class=self.images_by_class,
            image_counts=image_counts,
        )


class CountedEvaluation(TaskEvaluation[P, CountedScores]):
    """Base class of evaluations by counts."""

    def make_collector(self, num_classes: int) -> CountCollector[P]:
        return CountCollector(num_classes)

    def list_background(self, classes: Sequence[str]) -> list[int]:
        """Return the indices of classes that are background, which get no score."""
        return []

    @abstractmethod
    def format_mean(
        self, class_scores: Sequence[ClassScore], scores: CountedScores, classes: Sequence[str]
    ) -> str:
        """Return the score of all classes together as text."""

    def judge(self, scores: CountedScores, model: Predictor[P]) -> Judgement | None:
        class_scores = self.score_classes(scores, model.classes)
        if not class_scores:
            return None
        return Judgement(class_scores, self.format_mean(class_scores, scores, model.classes))

    def score_classes(self, scores: CountedScores, classes: Sequence[str]) -> list[ClassScore]:
        """Score each class that the images have, except background."""
        background = self.list_background(classes)
        sizes = scores.confusion_matrix.ground_truths
        class_scores = []
        for label, name in enumerate(name_distinctly(classes)):
            if not sizes[label] or label in background:
                continue
            counts = scores.image_counts[label]
            low, high = counts.compute_interval(self.metric)
            num_images = int(scores.images_by_class[label])
            class_scores.append(
                ClassScore(
                    score=counts.compute_score(self.metric),
                    low=low,
                    high=high,
                    name=name,
                    basis=format_count(num_images, 'image'),
                    num_images=num_images,
                    size=int(sizes[label]),
                    details=describe_confusion(scores.confusion_matrix, label, classes),
                )
            )
        return class_scores


def describe_confusion(matrix: ConfusionMatrix, label: int, classes: Sequence[str]) -> str:
    """Return as which other class most of a class is predicted wrongly, or ''."""
    row = matrix.matched[label].copy()
    total = row.sum()
    row[label] = 0
    if not row.any():
        return ''
    share = row.max() / total
    return f'{share:.0%} of it are predicted as {classes[row.argmax()]}'
