"""Mixed precision that fits the GPU, and TF32, in which NVIDIA GPUs since Ampere may multiply float32."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner

from ..registry import HOOKS, OPTIM_WRAPPERS


@HOOKS.register_module()
class TF32Hook(Hook):
    """Allow or forbid TF32 in matrix products and convolutions while a runner trains, validates or tests.

    mmengine has no setting for it. By default torch allows TF32 in convolutions and, since version 1.12, forbids it in
    matrix products, of which transformers are made. It affects GPUs only, and in mixed precision only what stays in
    float32. After the run torch's settings are what they were before.

    Args:
        enabled: Whether both may use TF32. In this project's configs: ``default_hooks.tf32.enabled``.
    """

    priority = 'VERY_HIGH'

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def before_run(self, runner: Runner) -> None:
        # Not set_float32_matmul_precision, which affects CPUs too.
        self.previous = [(part, part.allow_tf32) for part in (torch.backends.cuda.matmul, torch.backends.cudnn)]
        for part, _ in self.previous:
            part.allow_tf32 = self.enabled

    def after_run(self, runner: Runner) -> None:
        for part, value in self.previous:
            part.allow_tf32 = value


# Older GPUs emulate bfloat16, slowly, and report that they support it.
FIRST_CAPABILITY_WITH_BFLOAT16 = (8, 0)


@OPTIM_WRAPPERS.register_module(name='AutoPrecisionOptimWrapper')
def build_auto_precision_wrapper(dtype: str | None = None, **kwargs: Any) -> OptimWrapper:
    """Train in mixed precision on a GPU, in bfloat16 where the GPU supports it; in float32 on a CPU.

    mmengine's ``AmpOptimWrapper`` stops on machines without a GPU, and uses float16 by default. It also scales the loss
    under bfloat16, which has the range of float32 and needs no scale: there the scale would double every 2,000 steps
    until it overflows, at step 222,000 with torch's defaults. So bfloat16 trains without a gradient scaler.

    Args:
        dtype: ``'bfloat16'`` or ``'float16'`` to choose one.
        **kwargs: As for ``AmpOptimWrapper``: ``optimizer``, ``accumulative_counts``, ``clip_grad``, ``loss_scale``
            (float16 only), ...
    """
    if torch.cuda.is_available():
        supported = torch.cuda.get_device_capability() >= FIRST_CAPABILITY_WITH_BFLOAT16
        dtype = dtype or ('bfloat16' if supported else 'float16')
        if dtype == 'bfloat16':
            kwargs['loss_scale'] = {'enabled': False}
        return AmpOptimWrapper(dtype=dtype, **kwargs)
    print_log('No GPU: training in float32 instead of mixed precision.', 'current')
    kwargs.pop('loss_scale', None)
    return OptimWrapper(**kwargs)
