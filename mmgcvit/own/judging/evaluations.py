"""The evaluation of each task. A new task is a file with a subclass of :class:`.TaskEvaluation`,
and a row here.
"""

from typing import Any

from ...errors import UserError
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
EVALUATION_BY_SCOPE = {evaluation.task.scope: evaluation for evaluation in EVALUATIONS}


def find_evaluation(scope: str | None) -> TaskEvaluation[Any, Any]:
    """Return the evaluation of the models of an OpenMMLab package, the ``default_scope`` of a
    config. Raise a UserError for another one.
    """
    if scope not in EVALUATION_BY_SCOPE:
        raise UserError(
            f'the data of default_scope={scope!r} cannot be evaluated or drawn. Expected one of '
            f'{", ".join(EVALUATION_BY_SCOPE)}'
        )
    return EVALUATION_BY_SCOPE[scope]
