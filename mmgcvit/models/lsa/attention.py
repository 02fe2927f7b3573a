"""Local attention of a patch to its shifted copies, and global attention (paper, section 3.2).

Shapes: B batch, H x W feature map, nW windows of one image, N tokens of a window, K of them that
    are attended to, C channels, d = C/nH channels of a head, T copies, M patches of all images.

There are nH query heads and nKV key/value heads. G = nH/nKV query heads share a key/value head;
nKV = nH is plain multi-head attention.
"""

from torch import Tensor, nn

from ..layers.arguments import Window
from ..layers.attention import QKV, attend, compute_attention_weights, sdpa, split_heads, split_qkv
from ..layers.windows import balance_window, window_partition, window_reverse


class GroupedAttention(nn.Module):
    """Base class of grouped-query attention: each group of query heads shares a key/value head."""

    def __init__(self, embed_dims: int, num_heads: int, num_kv_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.q = nn.Linear(embed_dims, embed_dims)
        self.kv = nn.Linear(embed_dims, 2 * num_kv_heads * (embed_dims // num_heads))
        self.proj = nn.Linear(embed_dims, embed_dims)

    def project(self, queries: Tensor, others: Tensor) -> QKV:
        """Return queries (..., nH, N, d) of tokens (..., N, C), and keys and values (..., nH, K, d)
        of ``others`` (..., K, C).
        """
        q = split_heads(self.q(queries), self.num_heads)
        return q, *self.split_keys_and_values(self.kv(others))

    def split_keys_and_values(self, kv: Tensor) -> tuple[Tensor, Tensor]:
        """Split into keys and values, repeated for all query heads: (..., N, 2*nKV*d) to two (...,
        nH, N, d).
        """
        k, v = split_qkv(kv, self.num_kv_heads, chunks=2)  # (..., nKV, N, d) each
        group_size = self.num_heads // self.num_kv_heads
        return repeat_heads(k, group_size), repeat_heads(v, group_size)


def repeat_heads(x: Tensor, group_size: int) -> Tensor:
    """Repeat each head for the query heads of its group: (..., nKV, N, d) to (..., nKV * G, N, d).

    Groups of one head stay a view; ``repeat_interleave`` would copy them.
    """
    *batch, num_kv_heads, num_tokens, head_dims = x.shape
    groups = x.unsqueeze(-3).expand(*batch, num_kv_heads, group_size, num_tokens, head_dims)
    return groups.flatten(-4, -3)


class SelfAttention(GroupedAttention):
    """Self-attention between all tokens of a map, or inside its windows.

    ``window_size`` is the largest window (h, w). A map is cut into windows of equal size, with
    little padding. With None the whole map is one window.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, num_kv_heads: int, window_size: Window | None
    ):
        super().__init__(embed_dims, num_heads, num_kv_heads)
        self.window_size = window_size

    def forward(self, x: Tensor) -> Tensor:
        """Apply attention to a map: (B, H, W, C) to the same."""
        size = x.shape[1:3]
        window_size = balance_window(self.window_size, size)
        windows = window_partition(x, window_size)
        attended = attend(*self.project(windows, windows))
        return window_reverse(self.proj(attended), window_size, size)

    def compute_attention_weights(self, x: Tensor) -> Tensor:
        """Return the attention weights (B, nW, nH, N, N) of a map (B, H, W, C), to draw them."""
        window_size = balance_window(self.window_size, x.shape[1:3])
        windows = window_partition(x, window_size)
        q, k, _ = self.project(windows, windows)
        return compute_attention_weights(q, k)


class ShiftAttention(GroupedAttention):
    """The paper's local attention: each patch attends to its T copies.

    The first, unshifted copy gives the query.
    """

    def forward(self, copies: Tensor) -> Tensor:
        """Apply attention to the copies of each patch: (T, ..., C) to (..., C)."""
        qkv = self.project_patches(copies.flatten(1, -2))
        attended = sdpa(*qkv).flatten(1)  # (M, nH, 1, d) to (M, C)
        return self.proj(attended).unflatten(0, copies.shape[1:-1])

    def project_patches(self, patches: Tensor) -> QKV:
        """Return queries (M, nH, 1, d), keys and values (M, nH, T, d) of patches (T, M, C)."""
        q = split_heads(self.q(patches[0]).unsqueeze(1), self.num_heads)
        return q, *self.split_keys_and_values(self.kv(patches).transpose(0, 1))

    def compute_attention_weights(self, copies: Tensor) -> Tensor:
        """Return the attention weights (..., nH, T) of each patch to its copies (T, ..., C), for
        visualisation.
        """
        q, k, _ = self.project_patches(copies.flatten(1, -2))
        weights = compute_attention_weights(q, k).squeeze(2)  # (M, nH, T)
        return weights.unflatten(0, copies.shape[1:-1])
