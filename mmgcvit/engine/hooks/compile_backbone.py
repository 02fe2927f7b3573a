"""Compile the backbone of a model with torch.compile."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...mmengine_utils import unwrap_model
from ...registry import HOOKS


@HOOKS.register_module()
class CompileBackboneHook(Hook):
    """Compile ``model.backbone`` in place before training. The keys of checkpoints do not change.

    mmengine's ``compile`` setting compiles the whole training step, in which the heads of detectors cause graph breaks.

    Args:
        **options: Arguments of ``torch.compile``, for example ``mode='max-autotune-no-cudagraphs'``.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options

    def before_train(self, runner: Runner) -> None:
        unwrap_model(runner).backbone.compile(**self.options)
