"""Multi-head attention inside windows.

Shapes: B batch, nW windows of one image, N queries and M keys of a window, C channels, nH heads,
    d = C/nH.
"""

from torch import Tensor

from .sdpa import fold_windows, sdpa

QKV = tuple[Tensor, Tensor, Tensor]  # queries, keys and values


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Split channels into heads: (..., N, nH*d) to (..., nH, N, d)."""
    return x.reshape(*x.shape[:-1], num_heads, -1).transpose(-3, -2)


def split_qkv(x: Tensor, num_heads: int, chunks: int) -> tuple[Tensor, ...]:
    """Split the output of a linear layer for q, k and v, or for two of them, and then its heads.

    Shapes: (..., N, chunks * nH*d) to ``chunks`` tensors (..., nH, N, d).
    """
    # Unbind before transposing: then the backward pass stacks the gradients of q, k and v in one
    # copy instead of two. ``unflatten`` would fix the batch in an ONNX file.
    parts = x.reshape(*x.shape[:-1], chunks, num_heads, -1).unbind(-3)
    return tuple(part.transpose(-3, -2) for part in parts)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute scaled dot-product attention with an optional bias, softmax(q k^T / sqrt(d) + bias)
    v, and merge heads.

    Queries are (B, nW, nH, N, d), or (B, 1, nH, N, d) if all windows of an image share them, keys
    and values (B, nW, nH, M, d), and the bias of all windows (nH, N, M), indexed [head, query,
    key]. Return (B, nW, N, C).
    """
    batch, num_windows = v.shape[:2]
    q = q.expand(batch, num_windows, *q.shape[2:])
    out = sdpa(fold_windows(q), fold_windows(k), fold_windows(v), bias)  # (B*nW, nH, N, d)
    out = out.reshape(batch, num_windows, *out.shape[1:])
    return out.transpose(-3, -2).flatten(-2)


def compute_attention_weights(q: Tensor, k: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute the weights softmax(q k^T / sqrt(d) + bias) without a fused kernel.

    The arguments are those of :func:`attend`. Return (B, nW, nH, N, M), indexed [..., query, key].
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1)
