"""Layers that GC ViT and LSA share. They import no library other than torch.

``blocks``, ``windows``, ``position``, ``attention`` and ``resizing`` define the network.
``arguments`` checks its arguments.
"""
# ruff: noqa: F401

from .attention import attend, compute_attention_weights
from .blocks import DropPath, LayerScale, Mlp
from .position import PositionEmbedding, RelativePositionBias
from .windows import window_partition, window_reverse
