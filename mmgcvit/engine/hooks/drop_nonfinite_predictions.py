"""Keep non-finite predictions of detectors out of the scores."""

import logging
from typing import Any

import torch
from mmdet.models import BaseDetector
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from ...errors import shorten
from ...mmengine_utils import MAX_IMAGES_NAMED, get_image_name
from ...registry import HOOKS


@HOOKS.register_module()
class DropNonFinitePredictionsHook(Hook):
    """Drop predictions with a NaN or infinite box or score in validation and testing.

    pycocotools matches a NaN box with any object, so that a diverged network would reach an AP of 1.0. Remove this hook
    when pycocotools no longer matches NaN boxes.
    """

    def __init__(self) -> None:
        self.handles: list[Any] = []
        self.images: list[str] = []

    def add_forward_hooks(self, runner: Runner) -> None:
        """Register forward hooks on all detectors in the model."""
        detectors = [module for module in runner.model.modules() if isinstance(module, BaseDetector)]
        self.handles = [detector.register_forward_hook(self.drop) for detector in detectors]

    def drop(self, model: nn.Module, arguments: Any, outputs: Any) -> None:
        """Drop non-finite predictions from a detector's outputs. torch calls this forward hook."""
        for sample in outputs if not model.training and isinstance(outputs, list) else ():
            instances = sample.get('pred_instances')
            if instances is None:
                continue
            kept = torch.isfinite(instances.bboxes).all(1) & torch.isfinite(instances.scores)
            if not kept.all():
                sample.pred_instances = instances[kept]
                self.images.append(get_image_name(sample))

    def report(self, runner: Runner) -> None:
        """Remove the forward hooks and log the images whose predictions were dropped."""
        for handle in self.handles:
            handle.remove()
        images = [name for rank_images in all_gather_object(self.images) for name in rank_images]
        self.images = []
        if images:
            message = f'Dropped non-finite predictions for {len(images)} images: {shorten(images, MAX_IMAGES_NAMED)}'
            print_log(message, 'current', logging.WARNING)

    before_val = before_test = add_forward_hooks
    after_val = after_test = report
