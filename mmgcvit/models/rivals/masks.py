"""Window attention in which not every token of a window may attend to every other.

Legend: B batch, H x W feature map, nW windows of one image, N tokens of a window, C channels, nH heads.
"""

import torch
from torch import Tensor

from ..gcvit.attention import WindowAttention

# As in Swin: finite, so that a row of masked keys gives no nan; exp(-100) is 0 beside the weights of other keys.
MASKED = -100.0


class MaskedWindowAttention(WindowAttention):
    """Attention inside windows whose scores get a mask besides the position bias. A subclass says which."""

    def bias(self, v: Tensor, size: tuple[int, int]) -> Tensor:
        """Position bias and mask, (nW, nH, N, N)."""
        mask = (~self.allowed(size, v.device)).to(v.dtype) * MASKED
        return super().bias(v, size) + mask.unsqueeze(1)

    def allowed(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Which keys each query may attend to, in a map of ``size`` = (H, W): bool, (nW, N or 1, N)."""
        raise NotImplementedError
