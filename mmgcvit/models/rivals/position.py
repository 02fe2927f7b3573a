"""Attention without a position bias. In no table of the paper."""

import torch
from torch import nn

from ...hosts.registry import MODELS
from ..gcvit import GCViT
from ..gcvit.attention import GlobalWindowAttention, LocalWindowAttention
from ..gcvit.stage import Stage
from ..layers import Window


class NoPositionBias(nn.Module):
    """In the place of the relative position bias: none.

    Args:
        window: Without effect.
        num_heads: Without effect.
    """

    def __init__(self, window: Window, num_heads: int) -> None:
        super().__init__()

    def forward(self, dtype: torch.dtype | None = None) -> None:
        """No bias."""
        return


class UnbiasedLocalAttention(LocalWindowAttention):
    """Local attention without a position bias."""

    position_type = NoPositionBias


class UnbiasedGlobalAttention(GlobalWindowAttention):
    """Global attention without a position bias."""

    position_type = NoPositionBias


class UnbiasedStage(Stage):
    """Blocks of local and global attention in turns, without position biases."""

    attention_types = (UnbiasedLocalAttention, UnbiasedGlobalAttention)


@MODELS.register_module()
class GCViTWithoutPosition(GCViT):
    """GC ViT without relative position biases."""

    stage_type = UnbiasedStage
