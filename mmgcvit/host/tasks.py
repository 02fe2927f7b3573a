"""What differs between detection, segmentation and classification in the whole package: a
:class:`Task` for each.

What a module needs of a task beside these names is in a class of that module, such as the
predictors, by ``Task.scope``.
"""

from typing import NamedTuple

from ..errors import UserError


class Task(NamedTuple):
    """A task of a model."""

    name: str  # its name in results: ``Predictor.task``, and ``task`` in the metadata of ONNX files
    scope: str  # the OpenMMLab package with its models, which is the ``default_scope`` of configs
    packing: str  # the type of the transform that packs a sample, the last of a pipeline
    counted: str  # what a confusion matrix counts
    score: str  # what the score of an image is
    # The metric that writes the predictions of a test into a file
    results_metric: str = 'DumpResults'


DETECTION = Task(
    'detection',
    'mmdet',
    'PackDetInputs',
    'objects',
    'F1',
    results_metric='mmdet.DumpDetResults',  # which encodes masks as RLE
)
SEGMENTATION = Task('segmentation', 'mmseg', 'PackSegInputs', 'pixels', 'mean IoU')
CLASSIFICATION = Task(
    'classification', 'mmpretrain', 'PackInputs', 'images', 'score of the true class'
)
TASKS = (DETECTION, SEGMENTATION, CLASSIFICATION)
TASK_BY_NAME = {task.name: task for task in TASKS}
TASK_BY_SCOPE = {task.scope: task for task in TASKS}


def find_task(scope: str | None) -> Task:
    """Return the task of the models of an OpenMMLab package, the ``default_scope`` of a config.

    Raise a UserError for another one.
    """
    if scope not in TASK_BY_SCOPE:
        raise UserError(
            f'the data of default_scope={scope!r} cannot be evaluated or drawn. Expected one of '
            f'{", ".join(TASK_BY_SCOPE)}'
        )
    return TASK_BY_SCOPE[scope]
