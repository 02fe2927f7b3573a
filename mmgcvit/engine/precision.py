"""Mixed precision: asked for, possible here, and in which type."""

import logging

import torch
from mmengine.config import Config
from mmengine.logging import print_log

AMP_WRAPPER = 'AmpOptimWrapper'


def enable_amp(cfg: Config) -> None:
    """Turn mixed precision on, for ``--amp``.

    Raises:
        SystemExit: There is no GPU, or the config's optimizer wrapper has no mixed precision.
    """
    if not torch.cuda.is_available():
        raise SystemExit('--amp: mixed-precision training needs a GPU, and there is none here; leave the option out')
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', AMP_WRAPPER):
        raise SystemExit(f'--amp: replaces an OptimWrapper, but the config has optim_wrapper.type={kind}')
    cfg.optim_wrapper.type = AMP_WRAPPER
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def settle_precision(cfg: Config) -> None:
    """Make a config's mixed precision fit the machine: bfloat16 where the GPU has it, none without a GPU.

    A config that names a ``dtype`` keeps it.
    """
    wrapper = cfg.get('optim_wrapper')
    if wrapper is None or wrapper.get('type') != AMP_WRAPPER:
        return
    if not torch.cuda.is_available():
        wrapper.type = 'OptimWrapper'
        wrapper.pop('loss_scale', None)
        wrapper.pop('dtype', None)
        print_log('No GPU: training in float32 instead of mixed precision.', 'current', logging.WARNING)
    elif 'dtype' not in wrapper and torch.cuda.is_bf16_supported():
        wrapper.dtype = 'bfloat16'
