"""A metric for semantic segmentation: the mean accuracy of each group of classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from torch import Tensor

NUM_LABELS = 256  # values of an 8-bit segmentation map


@METRICS.register_module()
class GroupAccuracy(BaseMetric):
    """The accuracy (recall of pixels, in percent) of each class, averaged over the classes of each group.

    Args:
        groups: The class names of each group. A group is logged as ``accuracy/<group>``.
    """

    default_prefix = 'accuracy'

    def __init__(self, groups: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.groups = groups

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Count, for each image and label, the correctly predicted pixels and all ground truth pixels."""
        for sample in data_samples:
            gt, pred = (sample[name]['data'].flatten().cpu() for name in ('gt_sem_seg', 'pred_sem_seg'))
            self.results.append([torch.bincount(labels, minlength=NUM_LABELS) for labels in (gt[gt == pred], gt)])

    def compute_metrics(self, results: Sequence[Sequence[Tensor]]) -> dict[str, float]:
        """Compute the accuracy of each group from the counts of all images."""
        correct, total = (sum(counts) for counts in zip(*results, strict=True))
        accuracy = dict(zip(self.dataset_meta['classes'], (100 * correct / total).tolist(), strict=False))
        return {name: sum(map(accuracy.get, classes)) / len(classes) for name, classes in self.groups.items()}
