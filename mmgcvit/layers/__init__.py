"""Parts that mean the same in every backbone of this package. They import torch and mmcv only."""

from .arguments import whole_number, whole_numbers
from .attention import attend, heads_in, heads_out
from .blocks import Mlp, ResidualBranch
from .init import init_transformer_weights
from .position import RelativePositionBias
from .windows import Window, WindowSize, pad_to_windows, resolve_windows, unpad, window_partition, window_unpartition

__all__ = [
    'Mlp',
    'RelativePositionBias',
    'ResidualBranch',
    'Window',
    'WindowSize',
    'attend',
    'heads_in',
    'heads_out',
    'init_transformer_weights',
    'pad_to_windows',
    'resolve_windows',
    'unpad',
    'whole_number',
    'whole_numbers',
    'window_partition',
    'window_unpartition',
]
