"""Multi-head attention inside windows: split heads, merge heads, attention weights. ``attend`` is in sdpa.py.

Shapes: B batch, nW windows of one image, N tokens of a window, M keys, C channels, nH heads, d = C/nH.
"""

from torch import Tensor


def split_heads(x: Tensor, num_heads: int, chunks: int = 1) -> tuple[Tensor, ...]:
    """Split the output of a linear layer into ``chunks`` tensors (q, k, v or k, v), and each of them into heads.

    Shapes: (B, nW, N, chunks * nH*d) to ``chunks`` tensors (B, nW, nH, N, d).
    """
    # Unbind before transposing: then the backward pass stacks the gradients of q, k and v in one copy instead of two.
    width = x.shape[-1] // (chunks * num_heads)
    return tuple(chunk.transpose(2, 3) for chunk in x.unflatten(-1, (chunks, num_heads, width)).unbind(3))


def merge_heads(x: Tensor) -> Tensor:
    """Merge heads, the inverse of :func:`split_heads`: (B, nW, nH, N, d) to (B, nW, N, C)."""
    return x.transpose(2, 3).flatten(3)


def compute_attention_weights(q: Tensor, k: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the softmax weights of attention, without a fused kernel: (B, nW, nH, N, M), [..., query, key].

    The arguments are those of :func:`.sdpa.attend`.
    """
    scores = (q.to(k.dtype) * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return (scores if bias is None else scores + bias).softmax(-1)
