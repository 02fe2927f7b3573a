"""Load checkpoints safely in runs that OpenMMLab's own scripts start."""

from contextlib import ExitStack
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader

from ...checkpoints.safe_loading import safe_checkpoint_loading
from ...registry import HOOKS


@HOOKS.register_module()
class SafeLoadHook(Hook):
    """Hook that applies :func:`safe_checkpoint_loading` to the whole run if OpenMMLab's own scripts start it."""

    def __init__(self) -> None:
        self.context = ExitStack()

    def before_run(self, runner: Any) -> None:
        # This package's commands have entered the context already, before they built the runner.
        if CheckpointLoader._get_checkpoint_loader('').__module__ != safe_checkpoint_loading.__module__:
            self.context.enter_context(safe_checkpoint_loading(runner.work_dir))

    def after_run(self, runner: Any) -> None:
        self.context.close()
