"""Choose a data type for mixed precision that the GPU supports, and switch TF32 on or off."""

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


# Lowest compute capability of GPUs that have bfloat16. torch reports bfloat16 on older GPUs, which emulate it slowly.
MIN_BFLOAT16_CAPABILITY = (8, 0)


@OPTIM_WRAPPERS.register_module(name='AutoPrecisionOptimWrapper')
def build_auto_precision_wrapper(dtype: str | None = None, **kwargs: Any) -> OptimWrapper:
    """Build an optimizer wrapper for ``dtype``, by default bfloat16 or, on older GPUs, float16. On a CPU use float32.

    mmengine's ``AmpOptimWrapper`` fails without a GPU and defaults to float16. With bfloat16 it scales the
    loss too, and the scale doubles every 2,000 steps until it overflows (at step 222,000 with torch's defaults). So
    this function disables loss scaling for bfloat16.

    Args:
        dtype: Data type on a GPU, ``'bfloat16'`` or ``'float16'``.
        **kwargs: Arguments of ``AmpOptimWrapper``: ``optimizer``, ``accumulative_counts``, ``clip_grad``,
            ``loss_scale`` (float16 only), ...
    """
    if torch.cuda.is_available():
        is_supported = torch.cuda.get_device_capability() >= MIN_BFLOAT16_CAPABILITY
        dtype = dtype or ('bfloat16' if is_supported else 'float16')
        if dtype == 'bfloat16':
            kwargs['loss_scale'] = {'enabled': False}
        return AmpOptimWrapper(dtype=dtype, **kwargs)
    print_log('No GPU: training in float32 instead of mixed precision.', 'current')
    kwargs.pop('loss_scale', None)
    return OptimWrapper(**kwargs)
