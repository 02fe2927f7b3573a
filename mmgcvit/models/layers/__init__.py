"""Parts that mean the same in every backbone of this package. They import torch and mmcv only."""

from .arguments import (
    Window,
    WindowSize,
    check_drop_path_rate,
    check_img_size,
    resolve_optional_windows,
    resolve_windows,
    whole_number,
    whole_numbers,
)
from .attention import attend, attention_weights, merge_heads, share_queries, split_heads
from .blocks import Mlp, ResidualConnection, TransformerBlock, recomputed
from .channels import channels_first, channels_last
from .chunked import images_in_chunks, patches_in_chunks, tokens_in_chunks
from .hooks import is_plain
from .init import init_transformer_weights
from .norm import LayerNorm
from .onednn import linear
from .position import RelativePositionBias
from .position_embedding import PositionEmbedding
from .resizing import resize
from .tracing import is_exporting, is_tracing
from .variants import Variant, resolve_variant
from .windows import (
    count_windows,
    divide_up,
    even_window,
    in_windows,
    out_of_windows,
    pad_to_windows,
    round_up,
    unpad,
    window_partition,
    window_unpartition,
)

__all__ = [
    'LayerNorm',
    'Mlp',
    'PositionEmbedding',
    'RelativePositionBias',
    'ResidualConnection',
    'TransformerBlock',
    'Variant',
    'Window',
    'WindowSize',
    'attend',
    'attention_weights',
    'channels_first',
    'channels_last',
    'check_drop_path_rate',
    'check_img_size',
    'count_windows',
    'divide_up',
    'even_window',
    'images_in_chunks',
    'in_windows',
    'init_transformer_weights',
    'is_exporting',
    'is_plain',
    'is_tracing',
    'linear',
    'merge_heads',
    'out_of_windows',
    'pad_to_windows',
    'patches_in_chunks',
    'recomputed',
    'resize',
    'resolve_optional_windows',
    'resolve_variant',
    'resolve_windows',
    'round_up',
    'share_queries',
    'split_heads',
    'tokens_in_chunks',
    'unpad',
    'whole_number',
    'whole_numbers',
    'window_partition',
    'window_unpartition',
]
