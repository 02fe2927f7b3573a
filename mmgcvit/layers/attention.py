"""Multi-head attention inside windows: heads in, attend, heads out. The one place that calls the kernel.

Legend: B batch, nW windows of one image, N tokens of a window, C channels, nH heads, d = C/nH.
"""

import torch.nn.functional as F
from torch import Tensor


def heads_in(x: Tensor, num_heads: int, parts: int) -> tuple[Tensor, ...]:
    """Split a projection's channels into its parts (q, k, v or k, v) and heads, part-major then head-major.

    Shapes: (B, nW, N, parts*C) to ``parts`` tensors (B, nW, nH, N, d).
    """
    return x.unflatten(-1, (parts, num_heads, -1)).permute(3, 0, 1, 4, 2, 5).unbind(0)


def heads_out(x: Tensor) -> Tensor:
    """Join the heads again: (B, nW, nH, N, d) to (B, nW, N, C)."""
    return x.transpose(2, 3).flatten(3)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Scaled dot-product attention with a bias: softmax(q k^T / sqrt(d) + bias) v.

    Args:
        q: (B, nW, nH, N, d), or (B, 1, nH, N, d) where all windows of an image share their queries.
        k: (B, nW, nH, N, d).
        v: Likewise.
        bias: (nH, N, N), [head, query, key].

    Returns:
        (B, nW, nH, N, d).
    """
    batch = k.shape[0]
    q, k, v = (x.flatten(0, 1) for x in (q.expand_as(k), k, v))
    # Four dimensions for the bias too: with three the CPU silently leaves the fused kernel.
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype).unsqueeze(0))
    return out.unflatten(0, (batch, -1))
