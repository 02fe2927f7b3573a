"""Parts that mean the same in every backbone of this package. They import torch and mmcv only."""

from .arguments import at_least, check_drop_path_rate, check_img_size, number, whole_number, whole_numbers
from .attention import attend, heads_in, heads_out
from .blocks import Mlp, ResidualBranch
from .compiling import is_compiling
from .init import init_transformer_weights
from .linear import Linear
from .norm import LayerNorm
from .parts import images_in_parts, parts_are_faster
from .position import RelativePositionBias
from .position_embedding import PositionEmbedding
from .variants import read_attributes, resolve_variant
from .windows import (
    Window,
    WindowSize,
    even_window,
    pad_to_windows,
    resolve_optional_windows,
    resolve_windows,
    round_up,
    unpad,
    window_partition,
    window_unpartition,
)

__all__ = [
    'LayerNorm',
    'Linear',
    'Mlp',
    'PositionEmbedding',
    'RelativePositionBias',
    'ResidualBranch',
    'Window',
    'WindowSize',
    'at_least',
    'attend',
    'check_drop_path_rate',
    'check_img_size',
    'even_window',
    'heads_in',
    'heads_out',
    'images_in_parts',
    'init_transformer_weights',
    'is_compiling',
    'number',
    'pad_to_windows',
    'parts_are_faster',
    'read_attributes',
    'resolve_optional_windows',
    'resolve_variant',
    'resolve_windows',
    'round_up',
    'unpad',
    'whole_number',
    'whole_numbers',
    'window_partition',
    'window_unpartition',
]
