"""Assign predictions to objects and sample them: without ignored objects, on the GPU, and for
predictions that are not finite.
"""

from typing import Any

import torch
from mmdet.models import task_modules
from mmdet.models.task_modules import AssignResult
from mmengine.structures import InstanceData
from torch import Tensor

from ...registry import TASK_UTILS


class IgnoringAssigner(task_modules.BaseAssigner):
    """Base class of assigners that do not train background on ignored objects, such as crowds.

    mmdet's MaxIoUAssigner does if an image has no other objects, and mmdet's other assigners do
    always, so remove these classes when they no longer do. More than ``ignore_iof_thr`` of a box
    must be inside of an ignored object. With 0 or less, as in mmdet, ignored objects are
    background.
    """

    def __init__(self, ignore_iof_thr: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.max_iof = ignore_iof_thr

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
    ) -> AssignResult:
        """Assign n predictions.

        ``gt_inds`` (n,) of the result is -1 for background on an ignored object.
        """
        result = super().assign(pred_instances, gt_instances)
        # The priors of a detector without anchors are points.
        boxes = pred_instances.get('bboxes', pred_instances.priors)
        if self.max_iof <= 0 or not gt_instances_ignore or len(boxes) == 0:
            return result
        iofs = self.iou_calculator(boxes, gt_instances_ignore.bboxes, mode='iof').amax(1)
        result.gt_inds[(result.gt_inds == 0) & (iofs > self.max_iof)] = -1
        # Without any sample, mmdet's heads leave out losses, and DistributedDataParallel would miss
        # gradients.
        if (result.gt_inds < 0).all():
            result.gt_inds[iofs.argmin()] = 0
        return result


@TASK_UTILS.register_module()
class MaxIoUAssigner(IgnoringAssigner, task_modules.MaxIoUAssigner):
    """mmdet's MaxIoUAssigner as an :class:`IgnoringAssigner`, which waits for the GPU once.

    mmdet matches each object with its best boxes in a loop, which waits at each object. Remove both
    methods when mmdet's loop does not wait, and the class when :class:`IgnoringAssigner` goes.
    """

    match_low_quality: bool

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.matches_best = self.match_low_quality and self.gt_max_assign_all
        if self.matches_best:
            self.match_low_quality = False  # of mmdet's loop

    def assign_wrt_overlaps(self, overlaps: Tensor, gt_labels: Tensor) -> AssignResult:
        """Assign n boxes to k objects, given their IoU (k, n) and the objects' labels (k,)."""
        result = super().assign_wrt_overlaps(overlaps, gt_labels)
        if self.matches_best and overlaps.numel():
            best = overlaps.amax(1, keepdim=True)
            is_best = (overlaps == best) & (best >= self.min_pos_iou)
            numbers = torch.arange(1, len(overlaps) + 1, device=overlaps.device).unsqueeze(1)
            # A box that is the best of several objects is the last one's.
            gt_inds = torch.where(is_best, numbers, 0).amax(0)
            result.gt_inds = torch.where(gt_inds > 0, gt_inds, result.gt_inds)
            result.labels = torch.where(gt_inds > 0, gt_labels[gt_inds - 1], result.labels)
        return result


@TASK_UTILS.register_module()
class DynamicSoftLabelAssigner(IgnoringAssigner, task_modules.DynamicSoftLabelAssigner):
    """mmdet's DynamicSoftLabelAssigner as an :class:`IgnoringAssigner`."""


@TASK_UTILS.register_module()
class HungarianAssigner(task_modules.HungarianAssigner):
    """mmdet's HungarianAssigner in float32, which also matches NaN and infinite predictions.

    SciPy raises an error for NaN costs, which would end the run. With this class, the loss becomes
    NaN or infinite instead, and ``SkipNonFiniteStepHook`` skips the step. Remove this class when
    mmdet handles NaN costs.
    """

    def assign(self, pred_instances: InstanceData, *args: Any, **kwargs: Any) -> AssignResult:
        """Match predictions with ``scores`` (n, C), ``bboxes`` (n, 4) or ``masks`` (n, ...) to the
        ground truth.
        """
        # The limit is larger than a network's usual logits, and than the side of any image in
        # pixels.
        finite = {
            name: values.float().nan_to_num().clamp(-1e6, 1e6)
            for name, values in pred_instances.items()
        }
        with torch.autocast(pred_instances.scores.device.type, enabled=False):
            return super().assign(InstanceData(**finite), *args, **kwargs)


@TASK_UTILS.register_module()
class RandomSampler(task_modules.RandomSampler):
    """mmdet's RandomSampler, which permutes on the boxes' device.

    mmdet permutes all anchors on the CPU, because of a bug that torch 1.9 fixed (pytorch#59756).
    Remove this class when mmdet does so no more.
    """

    def random_choice(self, gallery: Tensor, num: int) -> Tensor:
        """Return ``num`` random elements of ``gallery`` (n,)."""
        return gallery[torch.randperm(len(gallery), device=gallery.device)[:num]]
