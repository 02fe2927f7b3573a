"""Predictions that are not finite."""

import logging
from typing import Any

import torch
from mmdet.models import BaseDetector
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from ..engine.suspects import in_words, name_of
from ..registry import HOOKS


@HOOKS.register_module()
class FinitePredictionsHook(Hook):
    """Leaves out predictions whose box or score is not finite, in validation and in tests.

    pycocotools takes such a box for one that fits any object: a network that has burst has an AP of 1.0, and its
    checkpoint stays the best of the run. To be removed once pycocotools matches none.
    """

    def __init__(self) -> None:
        self.handles: list[Any] = []
        self.images: list[str] = []

    def watch(self, runner: Runner) -> None:
        """Look at what detectors predict from now on, wrapped ones too."""
        detectors = [module for module in runner.model.modules() if isinstance(module, BaseDetector)]
        self.handles = [detector.register_forward_hook(self.drop) for detector in detectors]

    def drop(self, model: nn.Module, arguments: Any, outputs: Any) -> None:
        """What torch calls after the forward pass."""
        for sample in outputs if not model.training and isinstance(outputs, list) else ():
            instances = sample.get('pred_instances')
            if instances is None:
                continue
            kept = are_finite(instances.bboxes, instances.scores)
            if not kept.all():
                sample.pred_instances = instances[kept]
                self.images.append(name_of(sample))

    def report(self, runner: Runner) -> None:
        """Look no more, and say where something was left out."""
        for handle in self.handles:
            handle.remove()
        images = [name for of_process in all_gather_object(self.images) for name in of_process]
        self.images = []
        if images:
            print_log(
                f'Predictions for {len(images)} images are not finite, and were left out: {in_words(images)}',
                'current',
                logging.WARNING,
            )

    before_val = before_test = watch
    after_val = after_test = report


def are_finite(boxes: Tensor, scores: Tensor) -> Tensor:
    """Which of the boxes (n, 4) with their scores (n,) are finite: (n,)."""
    return torch.isfinite(boxes).all(1) & torch.isfinite(scores)
