"""Mixed precision that fits the machine, for any host's scripts."""

from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch.nn.utils import clip_grad_norm_

from ..registry import OPTIM_WRAPPERS
from .sharding import clip_sharded_grad_norm

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
    wrapper = build_wrapper(dtype, use_fsdp=use_fsdp, **kwargs)
    if use_fsdp and wrapper.clip_grad_kwargs:
        if wrapper.clip_func is not clip_grad_norm_ or list(wrapper.clip_grad_kwargs) != ['max_norm']:
            raise ValueError('clip_grad: of a sharded model gradients are clipped by dict(max_norm=...) only')
        wrapper.clip_func = clip_sharded_grad_norm
    return wrapper


def build_wrapper(dtype: str | None, use_fsdp: bool, **kwargs: Any) -> OptimWrapper:
    """The wrapper of mmengine that fits the machine."""
    if torch.cuda.is_available():
        best = 'bfloat16' if torch.cuda.get_device_capability() >= FIRST_WITH_BFLOAT16 else 'float16'
        return AmpOptimWrapper(dtype=dtype or best, use_fsdp=use_fsdp, **kwargs)
    print_log('No GPU: training in float32 instead of mixed precision.', 'current')
    kwargs.pop('loss_scale', None)
    return OptimWrapper(**kwargs)
