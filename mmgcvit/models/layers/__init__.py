"""Layers that GC ViT and LSA share. They import no library other than torch.

``blocks``, ``windows``, ``position`` and ``attention`` define the network. ``linear``, ``autocast``, ``resizing``
and ``tracing`` make it faster or exportable, and change results by rounding at most. ``lora`` adds LoRA, ``arguments``
checks the networks' arguments.
"""
# ruff: noqa: F401

from .attention import attend, compute_attention_weights
from .blocks import Mlp, ResidualConnection
from .position import PositionEmbedding, RelativePositionBias
from .windows import window_partition, window_reverse
