"""Multi-head attention inside windows, by torch's fused kernels for all windows at once.

Shapes: B batch, nW windows of one image, N tokens of a window, M keys, C channels, nH heads, d =
    C/nH.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# The largest batch of torch's attention kernels, by device type: CUDA's limit for the y and z dimensions of a grid.
MAX_BATCH = {'cuda': 65535}


def split_heads(x: Tensor, num_heads: int, chunks: int = 1) -> tuple[Tensor, ...]:
    """Split the output of a linear layer into ``chunks`` tensors (q, k, v or k, v), and each of
    them into heads.

    Shapes: (B, nW, N, chunks * nH*d) to ``chunks`` tensors (B, nW, nH, N, d).
    """
    # Unbind before transposing: then the backward pass stacks the gradients of q, k and v in one
    # copy instead of two.
    width = x.shape[-1] // (chunks * num_heads)
    return tuple(
        chunk.transpose(2, 3) for chunk in x.unflatten(-1, (chunks, num_heads, width)).unbind(3)
    )


def merge_heads(x: Tensor) -> Tensor:
    """Merge heads, the inverse of :func:`split_heads`: (B, nW, nH, N, d) to (B, nW, N, C)."""
    return x.transpose(2, 3).flatten(3)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute scaled dot-product attention with an optional bias: softmax(q k^T / sqrt(d) + bias)
    v.

    Queries are (B, nW, nH, N, d), or (B, 1, nH, N, d) if all windows of an image share them, keys
    and values (B, nW, nH, M, d), and the bias of all windows (nH, N, M), indexed [head, query,
    key]. Return (B, nW, nH, N, d).
    """
    if (
        torch.jit.is_tracing()
    ):  # the number of windows below, and strides on which merge_heads depends, are constants
        if (
            torch.onnx.is_in_onnx_export()
        ):  # the exporter supports torch's attention in four dimensions only
            return compute_attention_weights(q, k, bias) @ v
        out = F.scaled_dot_product_attention(q, k, v, bias)
        return out.transpose(2, 3).clone(memory_format=torch.contiguous_format).transpose(2, 3)
    batch, num_windows = v.shape[:2]
    queries, keys, values = (fold_windows_into_batch(x, num_windows) for x in (q, k, v))
    return run_kernel(queries, keys, values, bias).unflatten(0, (batch, num_windows))


def fold_windows_into_batch(x: Tensor, num_windows: int) -> Tensor:
    """Merge images and windows into a batch for the attention kernels: (B, nW or 1, nH, N, d) to
    (B*nW, nH, N, d).

    A window dimension of 1 is expanded to ``num_windows`` (a copy if B > 1). In memory tokens come
    before heads. This holds for the kernel's result too, so that heads are merged without a copy.
    """
    # Fused attention kernels assume contiguous channels and do not check.
    x = x if x.stride(-1) == 1 else x.contiguous()
    return x.expand(-1, num_windows, -1, -1, -1).transpose(2, 3).flatten(0, 1).transpose(1, 2)


def run_kernel(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Run torch's attention with q, k and v (B*nW, nH, N, d), in parts if the device limits the
    batch.
    """
    # Give the bias four dimensions. With three, torch silently uses a slower kernel on CPUs.
    bias = None if bias is None else bias.unsqueeze(0)
    limit = MAX_BATCH.get(v.device.type)
    if limit is None or v.shape[0] <= limit:
        return F.scaled_dot_product_attention(q, k, v, bias)
    parts = zip(*(x.split(limit) for x in (q, k, v)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part, bias) for part in parts])


def compute_attention_weights(q: Tensor, k: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the softmax weights of attention, without a fused kernel: (B, nW, nH, N, M), [...,
    query, key].

    The arguments are those of :func:`attend`.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return (scores if bias is None else scores + bias).softmax(-1)
