"""Local and global window attention (paper, section 2, equation 2 and figure 3).

Local attention takes the global query too and ignores it, so that a stage calls all blocks in one
way. From ../layers, ``window_partition`` pads a map and cuts it into windows, and ``attend``
computes attention. Padding is attended like all tokens, as in the authors' code.

Shapes: B batch, H x W feature map, nW windows of h x w = N tokens in one image, C = ``embed_dims``
    channels, nH heads, d = C/nH.
"""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from ..layers.arguments import Window
from ..layers.attention import QKV, attend, compute_attention_weights, split_qkv
from ..layers.autocast import cast_for_autocast
from ..layers.position import RelativePositionBias
from ..layers.windows import window_partition, window_reverse


class WindowAttention(nn.Module):
    """Base class of attention inside each window of a map.

    The constructor of a subclass builds the linear layer before attention, the position bias
    (``position``, as in the keys of checkpoints) and the linear layer after attention (``proj``).
    Its :meth:`project` says where q, k and v come from. A subclass that ignores the global query
    says so by ``uses_global_query``: a stage does not train a query that no block uses.
    """

    uses_global_query: ClassVar[bool] = True
    position: RelativePositionBias
    proj: nn.Linear

    def __init__(self, num_heads: int, window_size: Window):
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size

    def forward(self, x: Tensor, q_global: Tensor) -> Tensor:
        """Compute softmax(q k^T / sqrt(d) + bias) v (equation 2) in the windows of a map: (B, H, W,
        C) to the same.

        The map has any size. ``q_global`` is the global query, (B, nH, N, d).
        """
        x = cast_for_autocast(x)  # before the partition, which copies the map
        q, k, v = self.project(window_partition(x, self.window_size), q_global)
        attended = attend(q, k, v, self.position())
        return window_reverse(self.proj(attended), self.window_size, x.shape[1:3])

    def project(self, windows: Tensor, q_global: Tensor) -> QKV:
        """Project windows (B, nW, N, C) to q, k and v, (B, nW, nH, N, d) each, or q to (B, 1, nH,
        N, d).
        """
        raise NotImplementedError

    def compute_attention_weights(self, x: Tensor, q_global: Tensor) -> Tensor:
        """Return the attention weights (B, nW, nH, N, N) for visualisation.

        The arguments are those of ``forward``.
        """
        q, k, _ = self.project(window_partition(x, self.window_size), q_global)
        return compute_attention_weights(q, k, self.position())


# A class of attention: embed_dims, num_heads and window_size to an instance.
AttentionType = Callable[[int, int, Window], WindowAttention]


class LocalWindowAttention(WindowAttention):
    """Self-attention: queries, keys and values are projected from the window's tokens.

    ``q_global`` is ignored.
    """

    uses_global_query = False

    def __init__(self, embed_dims: int, num_heads: int, window_size: Window):
        super().__init__(num_heads, window_size)
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.position = RelativePositionBias(window_size, num_heads)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def project(self, windows: Tensor, q_global: Tensor) -> QKV:
        q, k, v = split_qkv(self.qkv(windows), self.num_heads, chunks=3)
        return q, k, v


class GlobalWindowAttention(WindowAttention):
    """Global attention: the queries are the image's global query; keys and values are projected
    from the window.
    """

    def __init__(self, embed_dims: int, num_heads: int, window_size: Window):
        super().__init__(num_heads, window_size)
        self.kv = nn.Linear(embed_dims, 2 * embed_dims)
        self.position = RelativePositionBias(window_size, num_heads)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def project(self, windows: Tensor, q_global: Tensor) -> QKV:
        k, v = split_qkv(self.kv(windows), self.num_heads, chunks=2)
        return q_global.unsqueeze(1), k, v  # one query for all windows
