"""Variants of GC ViT's attention: global keys or values, no position bias, no attention to padding.

Legend: B batch, H x W feature map, nW windows of one image, N tokens of a window, C channels, nH heads, d = C/nH.
"""

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ..gcvit import GCViT
from ..gcvit.attention import GlobalWindowAttention, LocalWindowAttention, WindowAttention
from ..gcvit.stage import Stage
from ..layers.arguments import Window
from ..layers.attention import split_heads
from ..layers.cpu import linear
from ..layers.windows import in_windows

# As in Swin: finite, so that a row of masked keys gives no nan; exp(-100) is 0 beside the weights of other keys.
MASKED = -100.0


class GlobalKeyValueAttention(WindowAttention):
    """Queries come from the window's tokens; keys and values both are the image's global tokens (table S.2, row 1).

    What the generator makes is the image's tokens in one window; as for the paper's query, no further weights apply to
    it (the paper does not say).
    """

    projected = 'q'

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (q,) = split_heads(linear(self.q, windows), self.num_heads)
        return q, q_global, q_global


class GlobalValueAttention(WindowAttention):
    """Queries and keys come from the window's tokens; the values are the image's global tokens (table S.2, row 2)."""

    projected = 'qk'

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k = split_heads(linear(self.qk, windows), self.num_heads, chunks=2)
        return q, k, q_global


class GlobalKeyValueStage(Stage):
    attention_types = (LocalWindowAttention, GlobalKeyValueAttention)


class GlobalValueStage(Stage):
    attention_types = (LocalWindowAttention, GlobalValueAttention)


@MODELS.register_module()
class GCViTGlobalKeyValue(GCViT):
    """GC ViT with global keys and values, and local queries (table S.2, row 1)."""

    stage_type = GlobalKeyValueStage


@MODELS.register_module()
class GCViTGlobalValue(GCViT):
    """GC ViT with global values, and local queries and keys (table S.2, row 2)."""

    stage_type = GlobalValueStage


class NoPositionBias(nn.Module):
    """In the place of the relative position bias: none."""

    def __init__(self, window: Window, num_heads: int) -> None:
        super().__init__()

    def forward(self, dtype: torch.dtype | None = None) -> None:
        """No bias."""
        return


class UnbiasedLocalAttention(LocalWindowAttention):
    position_type = NoPositionBias


class UnbiasedGlobalAttention(GlobalWindowAttention):
    position_type = NoPositionBias


class UnbiasedStage(Stage):
    attention_types = (UnbiasedLocalAttention, UnbiasedGlobalAttention)


@MODELS.register_module()
class GCViTWithoutPosition(GCViT):
    """GC ViT without relative position biases."""

    stage_type = UnbiasedStage


class MaskedWindowAttention(WindowAttention):
    """Attention inside windows whose scores get a mask besides the position bias. A subclass says which."""

    def bias(self, v: Tensor, size: tuple[int, int]) -> Tensor:
        """Position bias and mask, (nW, nH, N, N)."""
        mask = (~self.allowed(size, v.device)).to(v.dtype) * MASKED
        return super().bias(v, size) + mask.unsqueeze(1)

    def allowed(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Which keys each query may attend to, in a map of ``size`` = (H, W): bool, (nW, N or 1, N)."""
        raise NotImplementedError


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
    attention_types = (MaskedLocalAttention, MaskedGlobalAttention)


@MODELS.register_module()
class GCViTMaskedPadding(GCViT):
    """GC ViT that masks padded keys."""

    stage_type = MaskedPaddingStage
