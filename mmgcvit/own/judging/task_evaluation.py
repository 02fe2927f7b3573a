"""What differs by task when predictions are compared with the ground truth: a base class.

Its subclasses are in a file for each task, and ``evaluations.py`` has them in a table.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from matplotlib.figure import Figure
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray

from ...errors import UserError
from ...host.tasks import Task
from ...predict.drawing import Colour, draw_prediction
from ...predict.predictor import Predictor
from ...predict.results import P
from ...predict.thresholds import ScoreThresholds
from .plots import draw_confusion_matrix
from .scoring import ConfusionMatrix, ImageScore, make_empty_matrix, summarise_confusion_matrix
from .suspects import ImageLabels
from .verdict import ClassScore


@dataclass(frozen=True, eq=False)
class DatasetScores:
    """The counts of the predictions for a dataset, by class."""

    num_images: int
    confusion_matrix: ConfusionMatrix  # the sum of those of all images
    # (classes,), the number of images with each class in their ground truth
    images_by_class: NDArray[np.int64]


S = TypeVar('S', bound=DatasetScores)


class ScoreCollector(ABC, Generic[P, S]):
    """Collect the scores of a dataset image by image. Predictions are not kept: those of a large
    dataset would not fit in memory.
    """

    def __init__(self, num_classes: int):
        self.num_images = 0
        self.confusion_matrix = make_empty_matrix(num_classes)
        self.images_by_class = np.zeros(num_classes, np.int64)

    def add(self, path: Path, ground_truth: P, prediction: P, score: ImageScore) -> None:
        """Add an image. Its score is that of the predictions from the model's thresholds up, while
        ``prediction`` has those of any score.
        """
        self.num_images += 1
        self.confusion_matrix += score.confusion_matrix
        self.images_by_class += score.confusion_matrix.ground_truths > 0

    @abstractmethod
    def collect(self) -> S:
        """Return the scores of all images."""


@dataclass(frozen=True)
class ClassReport:
    """The scores of a class in ``mistakes.json`` and in the table of ``mmgcvit mistakes``.

    Precision is None for a class without predictions, the others for one without ground truth.
    """

    name: str  # of :func:`name_distinctly`
    ground_truths: int  # images, pixels or objects
    precision: float | None
    recall: float | None
    f1: float | None
    # Scores that only the task has, by their names: IoU, AP
    of_task: Mapping[str, float | None] = field(default_factory=dict)

    def list_scores(self) -> dict[str, float | None]:
        """Return the number of ground truths and all scores by their names, in order."""
        return {
            'ground_truths': self.ground_truths,
            'precision': self.precision,
            'recall': self.recall,
            'f1': self.f1,
            **self.of_task,
        }


@dataclass(frozen=True)
class Judgement:
    """How good a model is on validation images."""

    class_scores: list[ClassScore]  # of the classes that the images have
    summary: str  # the scores of all classes together
    thresholds: ScoreThresholds | None = None  # those chosen for a detector


class TaskEvaluation(ABC, Generic[P, S]):
    """Compare the predictions of a task with the ground truth.

    ``P`` is the type of its predictions, and ``S`` that of the scores of a dataset. An object has
    no state.
    """

    task: ClassVar[Task]
    prediction_type: ClassVar[type]
    metric: ClassVar[str]  # the score of a class, :meth:`.ImageCounts.compute_score`
    # mmengine's metric that writes predictions for ``mmgcvit test --out``
    # The confidence threshold with which the model of a finished run is loaded. None is its own.
    judged_score_thr: ClassVar[float | None] = None

    # Ground truth

    @abstractmethod
    def convert_ground_truth(self, sample: BaseDataElement, classes: Sequence[str]) -> P | None:
        """Convert the ground truth of a sample that a pipeline has packed. Return None if there is
        none.
        """

    # An image

    def filter_prediction(self, prediction: P, model: Predictor[P]) -> P:
        """Return what counts of a prediction at the model's thresholds."""
        return prediction

    def score_image(self, ground_truth: P, prediction: P, num_classes: int) -> ImageScore:
        """Score a prediction of a model with ``num_classes`` classes.

        Raise a UserError if prediction or ground truth is of another task.
        """
        if not isinstance(ground_truth, self.prediction_type):
            raise UserError(
                f'the model predicts {self.prediction_type.__name__}, and the ground truth of the '
                f'dataset is {type(ground_truth).__name__}. Use a dataset for the task of the model'
            )
        return self.compute_score(ground_truth, prediction, num_classes)

    @abstractmethod
    def compute_score(self, ground_truth: P, prediction: P, num_classes: int) -> ImageScore:
        """Score a prediction by ground truth of the same type."""

    def describe_score(self, score: ImageScore, classes: Sequence[str]) -> str:
        """Return the score of an image as text, and what is right and wrong."""
        summary = summarise_confusion_matrix(score.confusion_matrix, classes)
        return f'{self.task.score} {score.value:.2f}: {summary}'

    def describe_threshold(self, model: Predictor[P]) -> str:
        """Return the confidence threshold of drawn predictions as text, '' if there is none."""
        return ''

    def describe_drawing(self) -> str:
        """Return what colours in :meth:`draw_beside` mean, '' if they are those of classes."""
        return ''

    def draw_beside(
        self,
        image: NDArray[np.uint8],
        ground_truth: P,
        prediction: P,
        palette: Sequence[Colour],
        scale: float,
    ) -> NDArray[np.uint8]:
        """Draw a prediction for a picture that stands beside one of the ground truth."""
        return draw_prediction(image, prediction, palette, scale=scale)

    # Labels

    @abstractmethod
    def find_suspects(self, ground_truth: P, prediction: P, model: Predictor[P]) -> ImageLabels:
        """Compare the labels of an image with a model's prediction, which has detections of any
        score.
        """

    def describe_kinds(self, classes: Sequence[str]) -> str | None:
        """Return which kinds of label errors this task cannot have, or None if it has all."""
        return None

    # A dataset

    @abstractmethod
    def make_collector(self, num_classes: int) -> ScoreCollector[P, S]:
        """Make a collector without images."""

    @abstractmethod
    def compute_task_scores(self, scores: S) -> dict[str, NDArray[np.float64]]:
        """Compute the scores of each class that only this task has, (classes,) each, by their
        names. They are NaN for a class without ground truth.
        """

    def report_classes(self, scores: S, classes: Sequence[str]) -> list[ClassReport]:
        """Compute the scores of each class."""
        matrix = scores.confusion_matrix
        ground_truths = np.where(matrix.ground_truths, matrix.ground_truths, np.nan)
        predictions = np.where(matrix.predictions, matrix.predictions, np.nan)
        precision = matrix.right / predictions
        recall = matrix.right / ground_truths
        f1 = 2 * matrix.right / (ground_truths + matrix.predictions)
        of_task = self.compute_task_scores(scores)
        return [
            ClassReport(
                name=name,
                ground_truths=int(matrix.ground_truths[index]),
                precision=round_score(precision[index]),
                recall=round_score(recall[index]),
                f1=round_score(f1[index]),
                of_task={key: round_score(values[index]) for key, values in of_task.items()},
            )
            for index, name in enumerate(name_distinctly(classes))
        ]

    def summarise(self, scores: S, model: Predictor[P]) -> list[str]:
        """Return lines about all classes together."""
        return [summarise_confusion_matrix(scores.confusion_matrix, model.classes)]

    @abstractmethod
    def judge(self, scores: S, model: Predictor[P]) -> Judgement | None:
        """Judge a model by the scores of its validation images. Return None if they have no objects
        or labels.
        """

    def draw_plots(self, scores: S, model: Predictor[P]) -> dict[str, Figure]:
        """Draw the plots of ``mmgcvit mistakes``, by their file names."""
        matrix = scores.confusion_matrix
        figure = draw_confusion_matrix(
            matrix.matched,
            totals=matrix.matched.sum(1),
            names=model.classes,
            counted=self.task.counted,
        )
        return {'confusion.png': figure}

    def list_details(self, scores: S, classes: Sequence[str]) -> dict[str, Any]:
        """Return what ``mistakes.json`` has of this task only."""
        return {}


def name_distinctly(classes: Sequence[str]) -> list[str]:
    """Return the names of classes, each once: with its label where several classes have a name,
    such as ``crane (134)`` and ``crane (517)`` of ImageNet.
    """
    names = [*classes]
    # Twice, if a class is called as another one with its label.
    while repeated := {name for name, count in Counter(names).items() if count > 1}:
        names = [
            f'{name} ({label})' if name in repeated else name for label, name in enumerate(names)
        ]
    return names


def round_score(value: float) -> float | None:
    """Round a score to four digits. NaN becomes None."""
    return None if np.isnan(value) else round(float(value), 4)
