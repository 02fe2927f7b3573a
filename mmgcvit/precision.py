"""Mixed precision that fits the machine, for any host's scripts."""

import logging
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from .registry import OPTIM_WRAPPERS

# Older GPUs emulate bfloat16, slowly, and say that they support it.
FIRST_WITH_BFLOAT16 = (8, 0)


@OPTIM_WRAPPERS.register_module(name='AutoPrecisionOptimWrapper')
def auto_precision(dtype: str | None = None, **kwargs: Any) -> OptimWrapper:
    """Train in mixed precision where there is a GPU, bfloat16 where it has it, else in float32.

    mmengine's ``AmpOptimWrapper`` stops on machines without a GPU, and takes float16 unless told otherwise.

    Args:
        dtype: ``'bfloat16'`` or ``'float16'`` to insist on one.
        **kwargs: As for ``AmpOptimWrapper``: ``optimizer``, ``accumulative_counts``, ``clip_grad``, ``loss_scale``, ...
    """
    if torch.cuda.is_available():
        best = 'bfloat16' if torch.cuda.get_device_capability() >= FIRST_WITH_BFLOAT16 else 'float16'
        return AmpOptimWrapper(dtype=dtype or best, **kwargs)
    print_log('No GPU: training in float32 instead of mixed precision.', 'current', logging.WARNING)
    for only_mixed in ('loss_scale', 'use_fsdp'):
        kwargs.pop(only_mixed, None)
    return OptimWrapper(**kwargs)
