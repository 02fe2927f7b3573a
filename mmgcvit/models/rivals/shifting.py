"""Swin's shifted windows in the place of global attention (arXiv 2103.14030, 3.2). In no table of the paper.

Legend: B batch, H x W feature map, h x w window, nW windows of one image, N = h*w tokens of a window, C channels.
"""

import torch
from torch import Tensor

from ...hosts.registry import MODELS
from ..gcvit import GCViT
from ..gcvit.attention import LocalWindowAttention
from ..layers import pad_to_windows, unpad, window_partition
from .local import LocalStage
from .masks import MaskedWindowAttention


class ShiftedWindowAttention(MaskedWindowAttention, LocalWindowAttention):
    """Attention inside windows that are shifted by half of their size; what wraps around is masked.

    Along a side that one window covers nothing is shifted.
    """

    def forward(self, x: Tensor, q_global: Tensor) -> Tensor:
        """As :class:`WindowAttention`."""
        shifted = self.shifted(x)
        attended = super().forward(shifted, q_global)
        return unpad(attended.roll(self.shift(shifted.shape[1:3]), (1, 2)), x.shape[1:3])

    def attention_weights(self, x: Tensor, q_global: Tensor) -> Tensor:
        """As :class:`WindowAttention`, in the shifted windows."""
        return super().attention_weights(self.shifted(x), q_global)

    def shifted(self, x: Tensor) -> Tensor:
        """The padded map, moved up and to the left: (B, H, W, C) to (B, H', W', C)."""
        padded = pad_to_windows(x, self.window)
        dy, dx = self.shift(padded.shape[1:3])
        return padded.roll((-dy, -dx), (1, 2))

    def shift(self, size: tuple[int, int]) -> tuple[int, int]:
        """How far windows are shifted down and to the right, in tokens, in a padded map of ``size`` = (H, W)."""
        dy, dx = (side // 2 if length > side else 0 for length, side in zip(size, self.window, strict=True))
        return dy, dx

    def allowed(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Keys that were neighbours before the shift: (nW, N, N)."""
        rows, columns = (
            torch.arange(length, device=device) >= length - step
            for length, step in zip(size, self.shift(size), strict=True)
        )
        regions = rows[:, None] * 2 + columns  # only the last windows hold tokens that wrapped around
        tokens = window_partition(regions[None, :, :, None], self.window)[0, :, :, 0]
        return tokens[:, :, None] == tokens[:, None, :]


class ShiftedStage(LocalStage):
    """Blocks of local attention in windows and in shifted windows in turns."""

    attention_types = (LocalWindowAttention, ShiftedWindowAttention)


@MODELS.register_module()
class GCViTShifted(GCViT):
    """GC ViT with shifted windows in the place of global attention."""

    stage_type = ShiftedStage
