"""A loss and a metric for mmseg. Each class works around one bug."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..ops.packages import import_task_package
from ..registry import METRICS, MODELS

# mmseg imports mmdet and mmpretrain, which may be broken. Configs import this module before mmseg.
import_task_package('mmseg')

from mmseg import evaluation as mmseg  # noqa: E402
from mmseg.models.losses import LovaszLoss as MMSegLovaszLoss  # noqa: E402


@MODELS.register_module()
class LovaszLoss(MMSegLovaszLoss):
    """mmseg's LovaszLoss, which is 0 for crops with less than two labelled pixels.

    mmseg's is the mean of nothing, NaN, for crops without any, and fails on a single one. Remove
    this class when it does neither.
    """

    def forward(
        self, cls_score: Tensor, label: Tensor, *args: Any, ignore_index: int = 255, **kwargs: Any
    ) -> Tensor:
        """Return the loss of logits (B, C, H, W) and labels (B, H, W)."""
        if (label != ignore_index).sum() < 2:
            return cls_score.sum() * 0
        return super().forward(cls_score, label, *args, ignore_index=ignore_index, **kwargs)


@METRICS.register_module()
class IoUMetric(mmseg.IoUMetric):
    """mmseg's IoUMetric, in whose means classes do not count that the images lack.

    mmseg counts such a class as 0 as soon as a pixel is predicted as it, so that mIoU depends on
    chance. Remove this class when mmseg leaves them out.
    """

    @staticmethod
    def total_area_to_metrics(
        total_area_intersect: Tensor,
        total_area_union: Tensor,
        total_area_pred_label: Tensor,
        total_area_label: Tensor,
        *args: Any,
    ) -> dict[str, NDArray[np.float64]]:
        """Return ``aAcc`` and the metrics (C,) of C classes from their numbers of pixels (C,)."""
        areas = (total_area_intersect, total_area_union, total_area_pred_label, total_area_label)
        metrics = mmseg.IoUMetric.total_area_to_metrics(*areas, *args)
        is_absent = total_area_label.numpy() == 0
        for name, values in metrics.items():
            if name != 'aAcc':
                metrics[name] = np.where(is_absent, np.nan, values)
        return metrics
