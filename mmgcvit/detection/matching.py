"""Matching predictions to the truth where a network's numbers may not be finite."""

from typing import Any

from mmdet.models.task_modules import AssignResult
from mmdet.models.task_modules import HungarianAssigner as MMDetHungarianAssigner
from mmengine.structures import InstanceData
from torch import Tensor

from ..registry import TASK_UTILS

# Beyond any logit, and any side of an image in pixels.
LARGEST = 1e6


@TASK_UTILS.register_module()
class HungarianAssigner(MMDetHungarianAssigner):
    """mmdet's, which also matches predictions that are not finite, to anything.

    SciPy refuses such costs, and the run would end in its error. So the losses come out not finite instead, and the
    step is left out. To be removed once mmdet matches them.
    """

    def assign(self, pred_instances: InstanceData, *args: Any, **kwargs: Any) -> AssignResult:
        """Match ``bboxes`` (n, 4) and ``scores`` (n, C), logits, of predictions to the truth."""
        numbers = InstanceData(bboxes=finite(pred_instances.bboxes), scores=finite(pred_instances.scores))
        return super().assign(numbers, *args, **kwargs)


def finite(predictions: Tensor) -> Tensor:
    """Predictions, with numbers where they are not finite."""
    return predictions.nan_to_num().clamp(-LARGEST, LARGEST)
