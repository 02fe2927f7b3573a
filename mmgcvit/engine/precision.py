"""Mixed precision by what the GPU supports, and TF32."""

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

    mmengine has no setting for it. torch allows TF32 in convolutions but, since version 1.12, not in matrix products,
    of which transformers are made. It affects GPUs only. torch's settings are restored after the run.

    Args:
        enabled: Whether both use TF32; ``default_hooks.tf32.enabled`` in this project's configs.
    """

    priority = 'VERY_HIGH'

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def before_run(self, runner: Runner) -> None:
        # set_float32_matmul_precision would affect CPUs too.
        self.previous = [(part, part.allow_tf32) for part in (torch.backends.cuda.matmul, torch.backends.cudnn)]
        for part, _ in self.previous:
            part.allow_tf32 = self.enabled

    def after_run(self, runner: Runner) -> None:
        for part, value in self.previous:
            part.allow_tf32 = value


# Older GPUs report support but emulate bfloat16 slowly.
FIRST_CAPABILITY_WITH_BFLOAT16 = (8, 0)


@OPTIM_WRAPPERS.register_module(name='AutoPrecisionOptimWrapper')
def build_auto_precision_wrapper(dtype: str | None = None, **kwargs: Any) -> OptimWrapper:
    """Build a mixed-precision wrapper: bfloat16 if the GPU supports it, else float16; float32 on a CPU.

    mmengine's ``AmpOptimWrapper`` fails without a GPU and defaults to float16. It also scales the loss in bfloat16,
    where the scale would double every 2,000 steps until it overflows (step 222,000 with torch's defaults), so here
    bfloat16 trains without a gradient scaler.

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
