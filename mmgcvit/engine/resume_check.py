"""A resumed run starts only from a checkpoint that it can go on from."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper

from ..checkpoints.resuming import check_resumable
from .models import plain_model


class ResumeCheckHook(Hook):
    """Refuses, before anything of it is taken over, a checkpoint that a run cannot resume from.

    ``tools/train.py`` registers it. With FSDP, where each process has a share of the optimizer, the optimizer's state
    is left to torch's own checks.

    Args:
        source: The checkpoint, for messages.
    """

    priority = 'VERY_HIGH'

    def __init__(self, source: str) -> None:
        self.source = source

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        wrapper = runner.optim_wrapper
        is_whole = isinstance(wrapper, OptimWrapper) and not hasattr(runner, 'strategy')
        check_resumable(
            checkpoint,
            self.source,
            plain_model(runner),
            wrapper.optimizer if is_whole else None,
            runner.param_schedulers if isinstance(runner.param_schedulers, list) else None,
        )
