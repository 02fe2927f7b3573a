"""Shift attention and global attention (paper, section 3).

Legend: B batch, nW windows of one image, N tokens of a window, C channels, nH query heads in nKV groups that share a
key/value head each (nKV = nH: plain multi-head attention), G = nH/nKV, d = C/nH, T shifts, M patches of the batch.
"""

import torch
from torch import Tensor, nn

from ..layers import Linear, attend, heads_in, heads_out, parts_are_faster

# On a CPU without gradients, shift attention takes as many patches at once as have this many numbers: 4 MB stay in the
# cache. That takes 0.5 to 0.6 of the time of all at once where all are many, and 1.3 to 1.5 where they fit anyway.
CHUNK = 1 << 20


class GroupedAttention(nn.Module):
    """The projections of attention whose query heads share key/value heads in groups.

    Args:
        embed_dims: C.
        num_heads: nH.
        num_kv_heads: nKV.
    """

    def __init__(self, embed_dims: int, num_heads: int, num_kv_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.q = Linear(embed_dims, embed_dims)
        self.kv = Linear(embed_dims, 2 * num_kv_heads * (embed_dims // num_heads))
        self.proj = Linear(embed_dims, embed_dims)


class GlobalAttention(GroupedAttention):
    """Self-attention among the tokens of each window; with one window, the whole map, it is global."""

    def forward(self, windows: Tensor) -> Tensor:
        """Attend: (B, nW, N, C) to the same."""
        (q,) = heads_in(self.q(windows), self.num_heads, parts=1)
        k, v = (self.for_all_heads(x) for x in heads_in(self.kv(windows), self.num_kv_heads, parts=2))
        return self.proj(heads_out(attend(q, k, v)))

    def for_all_heads(self, x: Tensor) -> Tensor:
        """Repeat each key/value head for the queries that share it: (B, nW, nKV, N, d) to (B, nW, nH, N, d)."""
        groups = x.unsqueeze(3).expand(-1, -1, -1, self.num_heads // self.num_kv_heads, -1, -1)
        return groups.flatten(2, 3)


class ShiftAttention(GroupedAttention):
    """Attention of each patch to its own shifted copies; the unshifted one is the query.

    Keys and values of the T copies are never made. As there is one query per patch, the key projection is applied to
    it instead, q (Wk x) = (q Wk) x; and as attention mixes linearly, the value projection to the mixed copy. The keys'
    bias moves all scores of a patch alike and so has no effect.
    """

    def forward(self, unshifted: Tensor, copies: Tensor, norm: nn.Module) -> Tensor:
        """Attend from (B, H, W, C) to (T, B, H, W, C), both normalised by ``norm`` on the way, to (B, H, W, C)."""
        unshifted, patches = unshifted.flatten(0, 2), copies.flatten(1, 3)
        size = chunk_size(patches)
        parts = zip(unshifted.split(size), patches.split(size, dim=1), strict=True)
        attended = torch.cat([self.attend(norm(one), norm(all_copies)) for one, all_copies in parts])
        return self.proj(attended).unflatten(0, copies.shape[1:4])

    def attend(self, unshifted: Tensor, patches: Tensor) -> Tensor:
        """One token for each patch: (M, C) and (T, M, C) to (M, C)."""
        key_weight, value_weight = self.kv.weight.unflatten(0, (2, self.num_kv_heads, -1)).unbind()
        value_bias = self.kv.bias.unflatten(0, (2, self.num_kv_heads, -1))[1].unsqueeze(1)
        q = self.q(unshifted).unflatten(-1, (self.num_heads, -1))
        scaled = q * q.shape[-1] ** -0.5
        q_of_copies = self.from_groups(torch.bmm(self.to_groups(scaled), key_weight))
        scores = q_of_copies @ patches.permute(1, 2, 0)  # (M, nH, T)
        mixed = scores.softmax(-1) @ patches.transpose(0, 1)  # (M, nH, C)
        out = torch.baddbmm(value_bias, self.to_groups(mixed), value_weight.mT)
        return self.from_groups(out).flatten(1)

    def to_groups(self, x: Tensor) -> Tensor:
        """Heads by the key/value head that they share: (M, nH, n) to (nKV, M*G, n)."""
        return x.unflatten(1, (self.num_kv_heads, -1)).transpose(0, 1).flatten(1, 2)

    def from_groups(self, x: Tensor) -> Tensor:
        """Undo :meth:`to_groups`: (nKV, M*G, n) to (M, nH, n)."""
        return x.unflatten(1, (-1, self.num_heads // self.num_kv_heads)).transpose(0, 1).flatten(1, 2)


def chunk_size(patches: Tensor) -> int:
    """How many patches of (T, M, C) shift attention takes at once: all of them, or on a CPU what its cache holds."""
    num_copies, num_patches, channels = patches.shape
    if torch.is_grad_enabled() or not parts_are_faster(patches):
        return num_patches
    return max(CHUNK // (num_copies * channels), 1)
