"""Window attention in which not every token of a window may attend to every other.

Legend: B batch, H x W feature map, nW windows of one image, N tokens of a window, C channels, nH heads.
"""

import torch
from torch import Tensor

from ..gcvit.attention import WindowAttention
from ..layers import attend, attention_weights, in_windows, linear, merge_heads, out_of_windows

# As in Swin: finite, so that a row of masked keys gives no nan; exp(-100) is 0 beside the weights of other keys.
MASKED = -100.0


class MaskedWindowAttention(WindowAttention):
    """Attention inside windows whose scores get a mask besides the position bias. A subclass says which."""

    def forward(self, x: Tensor, q_global: Tensor) -> Tensor:
        """As :class:`WindowAttention`."""
        size = x.shape[1:3]
        q, k, v = self.project(in_windows(x, self.window), q_global)
        attended = merge_heads(attend(q, k, v, self.masked_position(size, v)))
        return out_of_windows(linear(self.proj, attended), self.window, size)

    def attention_weights(self, x: Tensor, q_global: Tensor) -> Tensor:
        """As :class:`WindowAttention`."""
        q, k, v = self.project(in_windows(x, self.window), q_global)
        return attention_weights(q, k, self.masked_position(x.shape[1:3], v))

    def masked_position(self, size: tuple[int, int], v: Tensor) -> Tensor:
        """Position bias and mask, (nW, nH, N, N), in the values' dtype, for a map of ``size`` = (H, W)."""
        mask = (~self.allowed(size, v.device)).to(v.dtype) * MASKED
        return self.position(v.dtype) + mask.unsqueeze(1)

    def allowed(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Which keys each query may attend to, in a map of ``size`` = (H, W): bool, (nW, N or 1, N)."""
        raise NotImplementedError
