"""The tasks: what differs between detection, segmentation and classification, in one table."""

from typing import NamedTuple


class Task(NamedTuple):
    """A task of a model."""

    name: str  # its name in results: ``Predictor.task``, and ``task`` in the metadata of ONNX files
    scope: str  # the OpenMMLab package with its models, which is the ``default_scope`` of configs
    packing: str  # the type of the transform that packs a sample, the last of a pipeline
    counted: str  # what a confusion matrix counts
    # What the score of an image is, by which ``mmgcvit mistakes`` finds the worst images.
    score: str


DETECTION = Task('detection', 'mmdet', 'PackDetInputs', 'objects', 'F1')
SEGMENTATION = Task('segmentation', 'mmseg', 'PackSegInputs', 'pixels', 'mean IoU')
CLASSIFICATION = Task(
    'classification', 'mmpretrain', 'PackInputs', 'images', 'score of the true class'
)
TASKS = (DETECTION, SEGMENTATION, CLASSIFICATION)
TASK_BY_NAME = {task.name: task for task in TASKS}
TASK_BY_SCOPE = {task.scope: task for task in TASKS}
