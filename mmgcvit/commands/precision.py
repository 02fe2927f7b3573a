"""Mixed precision on the command line."""

import torch
from mmengine.config import Config

from ..errors import UserError

REPLACED = ('OptimWrapper', 'AmpOptimWrapper', 'mmgcvit.AutoPrecisionOptimWrapper')


def enable_amp(cfg: Config) -> None:
    """Turn mixed precision on, for ``--amp``.

    Raises:
        UserError: There is no GPU, or the config's optimizer wrapper has no mixed precision.
    """
    if not torch.cuda.is_available():
        raise UserError('--amp: mixed-precision training needs a GPU, and there is none here; leave the option out')
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in REPLACED:
        raise UserError(f'--amp: the config has optim_wrapper.type={kind}; only {", ".join(REPLACED)} are replaced')
    cfg.optim_wrapper.type = 'mmgcvit.AutoPrecisionOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
