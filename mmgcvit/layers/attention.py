"""Multi-head attention inside windows: heads in, attend, heads out. The one place that calls the kernel.

Legend: B batch, nW windows of one image, N tokens of a window, C channels, nH heads, d = C/nH.
"""

import torch.nn.functional as F
from torch import Tensor

from .trained_bias import attend_with_trained_bias, gains_from_fused_training, windows_in_one


def heads_in(x: Tensor, num_heads: int, parts: int) -> tuple[Tensor, ...]:
    """Split a projection's channels into its parts (q, k, v or k, v) and heads, part-major then head-major.

    Shapes: (B, nW, N, parts*C) to ``parts`` tensors (B, nW, nH, N, d).
    """
    # Split before heads and tokens change places: so the gradients of the parts are joined in one copy.
    return tuple(part.transpose(2, 3) for part in x.unflatten(-1, (parts, num_heads, -1)).unbind(3))


def heads_out(x: Tensor) -> Tensor:
    """Join the heads again: (B, nW, nH, N, d) to (B, nW, N, C)."""
    return x.transpose(2, 3).flatten(3)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention, with a bias or without: softmax(q k^T / sqrt(d) + bias) v.

    Args:
        q: (B, nW, nH, N, d), or (B, 1, nH, N, d) where all windows of an image share their queries.
        k: (B, nW, nH, N, d).
        v: Likewise.
        bias: (nH, N, N), [head, query, key].

    Returns:
        (B, nW, nH, N, d).
    """
    # Under autocast k and v come from linear layers, the global query as a sum in float32.
    q = q.to(k.dtype)
    if bias is not None:
        bias = bias.to(k.dtype)
        if gains_from_fused_training(q, bias):
            return attend_with_trained_bias(q, k, v, bias)
    # Four dimensions for the bias too: with three the CPU silently leaves the fused kernel.
    mask = None if bias is None else bias.unsqueeze(0)
    out = F.scaled_dot_product_attention(*windows_in_one(q, k, v), attn_mask=mask)
    return out.unflatten(0, (k.shape[0], -1))
