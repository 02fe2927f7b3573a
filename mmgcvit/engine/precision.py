"""TF32, in which NVIDIA GPUs since Ampere multiply float32: with the inputs' mantissas rounded to 10 bits."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from torch.nn.utils import clip_grad_norm_

from ..errors import UserError
from ..registry import HOOKS, OPTIM_WRAPPERS
from .sharding import clip_sharded_grad_norm


@HOOKS.register_module()
class TF32Hook(Hook):
    """Allow or forbid TF32 in matrix products and convolutions for as long as a runner trains, validates or tests.

    mmengine has no setting for it. Left alone, torch allows TF32 in convolutions and, since version 1.12, forbids it in
    matrix products, of which transformers are made. Only computation on GPUs is concerned, and in mixed precision only
    what stays in float32. Once the run is over, torch's settings are what they were before.

    Args:
        enabled: Whether both may use it. In this project's configs: ``default_hooks.tf32.enabled``.

    Raises:
        UserError: ``enabled`` is no bool.
    """

    priority = 'VERY_HIGH'

    def __init__(self, enabled: bool) -> None:
        if not isinstance(enabled, bool):
            raise UserError(f'TF32Hook: enabled={enabled!r}; expected True or False')
        self.enabled = enabled
        self.found: tuple[bool, bool] | None = None

    def before_run(self, runner: Runner) -> None:
        """Make the setting; ``set_float32_matmul_precision`` would concern CPUs too."""
        self.found = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.enabled

    def after_run(self, runner: Runner) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self.found


# Older GPUs emulate bfloat16, slowly, and say that they support it.
FIRST_WITH_BFLOAT16 = (8, 0)


@OPTIM_WRAPPERS.register_module(name='AutoPrecisionOptimWrapper')
def auto_precision(dtype: str | None = None, use_fsdp: bool = False, **kwargs: Any) -> OptimWrapper:
    """Train in mixed precision where there is a GPU, bfloat16 where it has it, else in float32.

    mmengine's ``AmpOptimWrapper`` stops on machines without a GPU, and takes float16 unless told otherwise.

    Args:
        dtype: ``'bfloat16'`` or ``'float16'`` to insist on one.
        use_fsdp: The model is sharded: gradients are scaled and clipped accordingly.
        **kwargs: As for ``AmpOptimWrapper``: ``optimizer``, ``accumulative_counts``, ``clip_grad``, ``loss_scale``, ...
    """
    if torch.cuda.is_available():
        best = 'bfloat16' if torch.cuda.get_device_capability() >= FIRST_WITH_BFLOAT16 else 'float16'
        wrapper = AmpOptimWrapper(dtype=dtype or best, use_fsdp=use_fsdp, **kwargs)
    else:
        print_log('No GPU: training in float32 instead of mixed precision.', 'current')
        kwargs.pop('loss_scale', None)
        wrapper = OptimWrapper(**kwargs)
    if use_fsdp and wrapper.clip_grad_kwargs:
        if wrapper.clip_func is not clip_grad_norm_ or list(wrapper.clip_grad_kwargs) != ['max_norm']:
            raise UserError('clip_grad: of a sharded model gradients are clipped by dict(max_norm=...) only')
        wrapper.clip_func = clip_sharded_grad_norm
    return wrapper
