"""Layers that GC ViT and LSA share. They import no library other than torch.

``blocks``, ``windows``, ``position``, ``attention``, ``sdpa`` and ``resizing`` define the network. ``autocast`` and
``tracing`` say how torch runs it. ``lora`` adds LoRA, ``arguments`` checks the networks' arguments.
"""
# ruff: noqa: F401

from .attention import compute_attention_weights
from .blocks import DropPath, LayerScale, Mlp
from .position import PositionEmbedding, RelativePositionBias
from .sdpa import attend
from .windows import window_partition, window_reverse
