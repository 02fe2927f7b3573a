"""Tokens that only fill up the last windows get no attention. In no table of the paper, whose networks attend to them.

The weights are GC ViT's; maps that divide into whole windows give the same.
"""

import torch
from torch import Tensor

from ...hosts.registry import MODELS
from ..gcvit import GCViT
from ..gcvit.attention import GlobalWindowAttention, LocalWindowAttention
from ..gcvit.stage import Stage
from ..layers import in_windows
from .masks import MaskedWindowAttention


class MaskedPaddingAttention(MaskedWindowAttention):
    """Attention inside windows, to the map's own tokens only."""

    def allowed(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Keys of the map, for every query: (nW, 1, N)."""
        inside = torch.ones(1, *size, 1, device=device)
        return in_windows(inside, self.window)[0, :, None, :, 0].bool()


class MaskedLocalAttention(MaskedPaddingAttention, LocalWindowAttention):
    """Local attention without padded keys."""


class MaskedGlobalAttention(MaskedPaddingAttention, GlobalWindowAttention):
    """Global attention without padded keys."""


class MaskedPaddingStage(Stage):
    """Blocks of local and global attention in turns, without padded keys."""

    attention_types = (MaskedLocalAttention, MaskedGlobalAttention)


@MODELS.register_module()
class GCViTMaskedPadding(GCViT):
    """GC ViT that masks padded keys."""

    stage_type = MaskedPaddingStage
