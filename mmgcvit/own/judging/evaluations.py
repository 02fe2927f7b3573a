"""The evaluation of each task. A new task is a file with a subclass of :class:`.TaskEvaluation`,
and a row here.
"""

from typing import Any

from ...host.tasks import find_task
from .classification import ClassificationEvaluation
from .detection import DetectionEvaluation
from .segmentation import SegmentationEvaluation
from .task_evaluation import TaskEvaluation

EVALUATIONS: tuple[TaskEvaluation[Any, Any], ...] = (
    DetectionEvaluation(),
    SegmentationEvaluation(),
    ClassificationEvaluation(),
)
EVALUATION_BY_TASK = {evaluation.task.name: evaluation for evaluation in EVALUATIONS}


def find_evaluation(scope: str | None) -> TaskEvaluation[Any, Any]:
    """Return the evaluation of the models of an OpenMMLab package (:func:`.find_task`)."""
    return EVALUATION_BY_TASK[find_task(scope).name]
