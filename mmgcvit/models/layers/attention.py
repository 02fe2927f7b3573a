"""Multi-head attention inside windows.

Shapes: B batch, nW windows of one image, N queries and M keys of a window, C channels, nH heads,
    d = C/nH.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

QKV = tuple[Tensor, Tensor, Tensor]  # queries, keys and values
# The largest batch of torch's attention kernels, by device type: CUDA limits the y and z dimensions
# of a grid.
MAX_BATCH = {'cuda': 65535}


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
    attended = sdpa(q, k, v, bias)  # (B, nW, nH, N, d)
    return attended.transpose(-3, -2).flatten(-2)


def sdpa(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute softmax(q k^T / sqrt(d) + bias) v, by torch's fused kernel where there is one.

    Queries are (..., nH, N, d), keys and values (..., nH, M, d), with any batch dimensions, and the
    bias (nH, N, M). Queries broadcast. Return (..., nH, N, d). If the device limits the batch, call
    the kernel for parts of it.
    """
    if lacks_kernel(v, bias):
        return compute_attention_weights(q, k, bias) @ v
    batch = v.shape[:-3]
    folded = [fold_batch(x) for x in (q.expand(*batch, *q.shape[-3:]), k, v)]
    # Fused kernels assume contiguous channels and do not check.
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in folded)
    if bias is not None:
        bias = bias.unsqueeze(0)  # with three dimensions, torch uses a slower kernel on CPUs
    limit = MAX_BATCH.get(v.device.type, len(v))
    if len(v) <= limit:
        attended = F.scaled_dot_product_attention(q, k, v, bias)
    else:
        parts = zip(q.split(limit), k.split(limit), v.split(limit), strict=True)
        attended = torch.cat([F.scaled_dot_product_attention(*part, bias) for part in parts])
    return attended.reshape(*batch, *attended.shape[1:])


def fold_batch(x: Tensor) -> Tensor:
    """Merge batch dimensions, images and windows, into one: (..., nH, N, d) to (batch, nH, N, d).

    In memory tokens come before heads. This holds for the kernel's result too, so that heads are
    merged without a copy.
    """
    return x.transpose(-3, -2).flatten(0, -4).transpose(1, 2)


def lacks_kernel(v: Tensor, bias: Tensor | None) -> bool:
    """Return whether torch has no fused kernel for the values and a bias: on a CPU with a gradient
    for the bias.

    There torch would also search for queries whose keys are all masked, which no window has. In
    half precision torch computes in another precision, which is left to it.
    """
    if bias is None:
        return False
    needs_gradient = torch.is_grad_enabled() and bias.requires_grad
    is_precise = v.dtype in (torch.float32, torch.float64)
    return v.device.type == 'cpu' and needs_gradient and is_precise


def compute_attention_weights(q: Tensor, k: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute the weights softmax(q k^T / sqrt(d) + bias) without a fused kernel.

    The arguments are those of :func:`attend`: shared queries broadcast. Return (B, nW, nH, N, M),
    indexed [..., query, key].
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1)
