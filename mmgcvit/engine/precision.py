"""Choose a data type for mixed precision that the GPU supports, and switch TF32 on or off."""

from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from ..registry import OPTIM_WRAPPERS

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
