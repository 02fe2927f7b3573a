"""Speed up training: compile the backbone, and switch TF32 on or off."""

from typing import Any

import torch
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


@HOOKS.register_module()
class TF32Hook(Hook):
    """Allow or forbid TF32 in matrix products and convolutions while a runner trains, validates or tests.

    mmengine has no setting for TF32. By default, torch uses TF32 in convolutions but, since version 1.12, not in matrix
    products, which take most of a transformer's time. The hook affects GPUs only. It restores torch's settings after
    the run.

    Args:
        enabled: Whether matrix products and convolutions use TF32; in configs, ``default_hooks.tf32.enabled``.
    """

    priority = 'VERY_HIGH'

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def before_run(self, runner: Runner) -> None:
        # set_float32_matmul_precision would affect CPUs too.
        self.saved = [(backend, backend.allow_tf32) for backend in (torch.backends.cuda.matmul, torch.backends.cudnn)]
        for backend, _ in self.saved:
            backend.allow_tf32 = self.enabled

    def after_run(self, runner: Runner) -> None:
        for backend, is_allowed in self.saved:
            backend.allow_tf32 = is_allowed
