"""Validate and test on large images without arrays of all masks."""

from typing import Any

from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...ops.rle import MAX_MASK_BYTES


class EncodeMasksHook(Hook):
    """Let the mask heads of ``fixes/mmdet`` return RLE for images whose masks would need over a
    gigabyte.

    COCO's mAP counts candidates of any score: 100 masks of an image of 24 megapixels are 2.4 GB.
    Only mmdet's CocoMetric reads RLE, so with other metrics, or if mmdet's hook draws, the masks
    stay arrays.
    """

    def before_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None
    ) -> None:
        limit_masks(runner, runner.val_evaluator, data_batch)

    def before_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None
    ) -> None:
        limit_masks(runner, runner.test_evaluator, data_batch)


def limit_masks(runner: Runner, evaluator: Evaluator, data_batch: dict[str, Any] | None) -> None:
    """Set the limit of memory for masks in a batch of mmdet's samples."""
    draws = any(getattr(hook, 'draw', False) is True for hook in runner.hooks)
    if draws or not all(map(is_coco_metric, evaluator.metrics)):
        return
    for sample in (data_batch or {}).get('data_samples', ()):
        sample.set_metainfo({'max_mask_bytes': MAX_MASK_BYTES})


def is_coco_metric(metric: BaseMetric) -> bool:
    """Return whether a metric is mmdet's, by its name: mmdet may not be installed."""
    return any(base.__name__ == 'CocoMetric' for base in type(metric).__mro__)
