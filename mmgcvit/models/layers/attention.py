"""Multi-head attention inside windows: split heads, attend, merge heads.

Shapes: B batch, nW windows of one image, N tokens of a window, C channels, nH heads, d = C/nH.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from .tracing import is_exporting
from .windows import fold_windows_into_batch

# CUDA's limit for the y and z dimensions of a grid, which torch's attention kernels use for heads and windows.
MAX_GRID_SIZE = 65535


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


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute scaled dot-product attention with an optional bias: softmax(q k^T / sqrt(d) + bias) v.

    Args:
        q: Queries (B, nW, nH, N, d), or (B, nH, N, d) if all windows of an image share them.
        k: Keys (B, nW, nH, M, d), or (B, nH, M, d) if all windows of an image share them.
        v: Values, in one of the two shapes of the keys. At least one of q, k and v must have the dimension nW.
        bias: (nH, N, M), indexed [head, query, key], for all windows.

    Returns:
        (B, nW, nH, N, d).
    """
    dtype = v.dtype  # under autocast, the dtype of linear layers; in ablations other operands may be float32
    q, k, bias = q.to(dtype), k.to(dtype), None if bias is None else bias.to(dtype)
    batch, num_windows = next(x for x in (v, k, q) if x.ndim == 5).shape[:2]
    q, k, v = (x if x.ndim == 5 else x.unsqueeze(1) for x in (q, k, v))
    if is_exporting():
        return attend_for_export(q, k, v, bias)
    queries, keys, values = (fold_windows_into_batch(x, num_windows) for x in (q, k, v))
    # Give the bias four dimensions. With three, torch silently uses a slower kernel on CPUs.
    bias = None if bias is None else bias.unsqueeze(0)
    outputs = [F.scaled_dot_product_attention(*launch) for launch in split_launches(queries, keys, values, bias)]
    out = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    return out.unflatten(0, (batch, num_windows))


def attend_for_export(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Compute :func:`attend` for any number of images and windows: the operators broadcast what windows share."""
    if torch.onnx.is_in_onnx_export():  # the exporter supports torch's attention in four dimensions only
        out = compute_attention_weights(q, k, bias) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v, bias)
    # At run time, the strides of the result may differ from the traced ones, on which merge_heads depends.
    return out.transpose(2, 3).clone(memory_format=torch.contiguous_format).transpose(2, 3)


def compute_attention_weights(q: Tensor, k: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the softmax weights of :func:`attend`, without a fused kernel: (B, nW, nH, N, N), [..., query, key]."""
    q, k = (x if x.ndim == 5 else x.unsqueeze(1) for x in (q.to(k.dtype), k))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return (scores if bias is None else scores + bias).softmax(-1)


def split_launches(*tensors: Tensor | None) -> Iterator[tuple[Tensor | None, ...]]:
    """Split q, k, v and a bias (B*nW, ...) to fit the limit of a CUDA launch; a bias (1, ...) is not split."""
    values = tensors[2]
    if not has_launch_limit(values) or values.shape[0] <= MAX_GRID_SIZE:
        yield tensors
        return
    for i in range(0, values.shape[0], MAX_GRID_SIZE):
        yield tuple(x if x is None or x.shape[0] == 1 else x[i : i + MAX_GRID_SIZE] for x in tensors)


def has_launch_limit(values: Tensor) -> bool:
    """Return whether the device limits the number of windows of a kernel launch."""
    return values.device.type == 'cuda'
