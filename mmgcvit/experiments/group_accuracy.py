"""The accuracy of segmentation of some classes apart from that of others."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from torch import Tensor

LABELS = 256


@METRICS.register_module()
class GroupAccuracy(BaseMetric):
    """The percentage of a class's pixels that are found to be of it, averaged over the classes of each group.

    Args:
        groups: By the name under which it is logged, after ``accuracy/``: names of classes.
    """

    default_prefix = 'accuracy'

    def __init__(self, groups: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.groups = groups

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Count the pixels of each label, and those found, of each image."""
        for sample in data_samples:
            truth, found = (sample[name]['data'].flatten().cpu() for name in ('gt_sem_seg', 'pred_sem_seg'))
            self.results.append([torch.bincount(of, minlength=LABELS) for of in (truth[truth == found], truth)])

    def compute_metrics(self, results: Sequence[Sequence[Tensor]]) -> dict[str, float]:
        """From the counts of all images."""
        right, every = (sum(counts) for counts in zip(*results, strict=True))
        accuracy = dict(zip(self.dataset_meta['classes'], (100 * right / every).tolist(), strict=False))
        return {name: sum(map(accuracy.get, classes)) / len(classes) for name, classes in self.groups.items()}
