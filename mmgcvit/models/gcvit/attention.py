"""Local and global window attention (paper, section 2 and figure 3).

Both classes take the global query, so that a stage alternates them without asking which is which. From ../layers:
``window_partition`` pads and cuts a map, ``attend`` is scaled dot-product attention, ``Linear`` is ``nn.Linear``.

Shapes: B batch, H x W feature map, nW windows of one image, N tokens of a window, C channels, nH heads, d = C/nH.
"""

from typing import ClassVar

from torch import Tensor, nn

from ..layers.arguments import Window
from ..layers.attention import attend, attention_weights, merge_heads, split_heads
from ..layers.cpu import Linear
from ..layers.position import RelativePositionBias
from ..layers.windows import window_partition, window_reverse


class WindowAttention(nn.Module):
    """Attention inside each window of a map.

    A subclass says what one linear layer, of that name, makes of the windows' tokens: ``'qkv'``, ``'kv'``, ...

    Args:
        embed_dims: C.
        num_heads: nH.
        window: (h, w), N = h*w.
    """

    projected: ClassVar[str]
    position_type = RelativePositionBias

    def __init__(self, embed_dims: int, num_heads: int, window: Window) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.add_module(self.projected, Linear(embed_dims, len(self.projected) * embed_dims))
        self.position = self.position_type(window, num_heads)
        self.proj = Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor, q_global: Tensor) -> Tensor:
        """Map of any size (B, H, W, C) and global query (B, nH, N, d) or (B, nW, nH, N, d) to (B, H, W, C)."""
        size = x.shape[1:3]
        q, k, v = self.project(window_partition(x, self.window), q_global)
        attended = merge_heads(attend(q, k, v, self.bias(v, size)))
        return window_reverse(self.proj(attended), self.window, size)

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Windows (B, nW, N, C) to queries, keys and values (B, nW, nH, N, d); shared queries may be (B, nH, N, d)."""
        raise NotImplementedError

    def bias(self, v: Tensor, size: tuple[int, int]) -> Tensor:
        """What is added to the scores, in the dtype of the values ``v``: (nH, N, N), the same for all windows.

        A seam for ablations, whose bias may differ from window to window of a map of ``size`` = (H, W): (nW, nH, N, N).
        """
        return self.position(v.dtype)

    def attention_weights(self, x: Tensor, q_global: Tensor) -> Tensor:
        """How much each token attends to each, for pictures: inputs as in ``forward``, to (B, nW, nH, N, N)."""
        q, k, v = self.project(window_partition(x, self.window), q_global)
        return attention_weights(q, k, self.bias(v, x.shape[1:3]))


class LocalWindowAttention(WindowAttention):
    """Self-attention: queries, keys and values come from the window's tokens. The global query is ignored."""

    projected = 'qkv'

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return split_heads(self.qkv(windows), self.num_heads, chunks=3)


class GlobalWindowAttention(WindowAttention):
    """The queries are the image's global query; only keys and values come from the window's tokens."""

    projected = 'kv'

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        k, v = split_heads(self.kv(windows), self.num_heads, chunks=2)
        return q_global, k, v
