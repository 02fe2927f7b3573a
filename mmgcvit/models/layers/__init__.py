"""Parts that mean the same in every backbone of this package. They import torch and mmcv only.

The network is in ``blocks``, ``windows``, ``position`` and ``attention``; ``cpu``, ``trained_bias``, ``resizing`` and
``tracing`` make it fast or fit for exports, and change results by rounding at most.
"""
# ruff: noqa: F401

from .arguments import (
    Variant,
    Window,
    WindowSize,
    check_drop_path_rate,
    check_img_size,
    resolve_variant,
    resolve_windows,
    whole_number,
    whole_numbers,
)
from .attention import attend, attention_weights, merge_heads, share_queries, split_heads
from .blocks import LayerNorm, Mlp, ResidualConnection, TransformerBlock, init_transformer_weights, recomputed
from .cpu import images_in_chunks, is_plain, linear, patches_in_chunks
from .lora import LoRALinear
from .position import PositionEmbedding, RelativePositionBias
from .resizing import resize
from .tracing import channels_first, channels_last, in_channels_last, is_exporting, is_tracing
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
)
