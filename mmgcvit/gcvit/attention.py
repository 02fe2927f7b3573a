"""Local and global window attention (paper, section 2 and figure 3).

Two classes with one signature: a stage alternates them without asking which is which.

Legend: B batch, nW windows of one image, N tokens of a window, C channels, nH heads, d = C/nH.
"""

from torch import Tensor, nn

from ..layers import Linear, RelativePositionBias, Window, attend, heads_in, heads_out


class LocalWindowAttention(nn.Module):
    """Self-attention inside each window: queries, keys and values come from its tokens.

    Args:
        embed_dims: C.
        num_heads: nH.
        window: (h, w), N = h*w.
    """

    def __init__(self, embed_dims: int, num_heads: int, window: Window) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = Linear(embed_dims, 3 * embed_dims)
        self.position = RelativePositionBias(window, num_heads)
        self.proj = Linear(embed_dims, embed_dims)

    def forward(self, windows: Tensor, q_global: Tensor) -> Tensor:
        """Attend: (B, nW, N, C) to the same. The global query is not looked at."""
        q, k, v = heads_in(self.qkv(windows), self.num_heads, parts=3)
        return self.proj(heads_out(attend(q, k, v, self.position())))


class GlobalWindowAttention(nn.Module):
    """Attention of the image's global query to each window's keys and values.

    Args:
        embed_dims: C.
        num_heads: nH.
        window: (h, w), N = h*w.
    """

    def __init__(self, embed_dims: int, num_heads: int, window: Window) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.kv = Linear(embed_dims, 2 * embed_dims)
        self.position = RelativePositionBias(window, num_heads)
        self.proj = Linear(embed_dims, embed_dims)

    def forward(self, windows: Tensor, q_global: Tensor) -> Tensor:
        """Attend: (B, nW, N, C) and queries (B, nH, N, d) to (B, nW, N, C)."""
        k, v = heads_in(self.kv(windows), self.num_heads, parts=2)
        return self.proj(heads_out(attend(q_global.unsqueeze(1), k, v, self.position())))
