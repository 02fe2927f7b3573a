"""Window attention in which not every token of a window may attend to every other.

Legend: B batch, H x W feature map, nW windows of one image, N tokens of a window, C channels.
"""

import torch
from torch import Tensor

from ..gcvit.attention import WindowAttention
from ..layers import attend, in_windows, linear, merge_heads, out_of_windows

# As in Swin: finite, so that a row of masked keys gives no nan; exp(-100) is 0 beside the weights of other keys.
MASKED = -100.0


class MaskedWindowAttention(WindowAttention):
    """Attention inside windows whose scores get a mask besides the position bias. A subclass says which."""

    def forward(self, x: Tensor, q_global: Tensor) -> Tensor:
        """As :class:`WindowAttention`."""
        size = x.shape[1:3]
        q, k, v = self.project(in_windows(x, self.window), q_global)
        allowed = self.allowed(size, x.device)
        bias = self.position(v.dtype) + (~allowed).to(v.dtype).mul(MASKED).unsqueeze(1)
        attended = merge_heads(attend(q, k, v, bias))
        return out_of_windows(linear(self.proj, attended), self.window, size)

    def allowed(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Which keys each query may attend to, in a map of ``size`` = (H, W): bool, (nW, N or 1, N)."""
        raise NotImplementedError
