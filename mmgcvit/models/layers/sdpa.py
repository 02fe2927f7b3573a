"""Attention by torch's fused kernels, for all windows at once.

Shapes: B batch, nW windows of one image, N tokens of a window, M keys, nH heads, d channels of a head.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import compute_attention_weights
from .tracing import is_jit_tracing

# CUDA's limit for the y and z dimensions of a grid, which torch's attention kernels use for heads and windows.
MAX_GRID_SIZE = 65535


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute scaled dot-product attention with an optional bias: softmax(q k^T / sqrt(d) + bias) v.

    Args:
        q: Queries (B, nW, nH, N, d), or (B, 1, nH, N, d) if all windows of an image share them.
        k: Keys (B, nW, nH, M, d).
        v: Values (B, nW, nH, M, d).
        bias: (nH, N, M), indexed [head, query, key], for all windows.

    Returns:
        (B, nW, nH, N, d).
    """
    dtype = v.dtype  # under autocast, the dtype of linear layers; in ablations other operands may be float32
    q, k, bias = q.to(dtype), k.to(dtype), None if bias is None else bias.to(dtype)
    if is_jit_tracing():
        return attend_for_export(q, k, v, bias)
    batch, num_windows = v.shape[:2]
    queries, keys, values = (fold_windows_into_batch(x, num_windows) for x in (q, k, v))
    # Give the bias four dimensions. With three, torch silently uses a slower kernel on CPUs.
    bias = None if bias is None else bias.unsqueeze(0)
    outputs = [F.scaled_dot_product_attention(*launch) for launch in split_launches(queries, keys, values, bias)]
    out = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    return out.unflatten(0, (batch, num_windows))


def fold_windows_into_batch(x: Tensor, num_windows: int) -> Tensor:
    """Merge images and windows into a batch for the attention kernels: (B, nW or 1, nH, N, d) to (B*nW, nH, N, d).

    A window dimension of 1 is expanded to ``num_windows`` (a copy if B > 1). In memory tokens come before heads. This
    holds for the kernel's result too, so that heads are merged without a copy.
    """
    # Fused attention kernels assume contiguous channels and do not check.
    x = x if x.stride(-1) == 1 else x.contiguous()
    return x.expand(-1, num_windows, -1, -1, -1).transpose(2, 3).flatten(0, 1).transpose(1, 2)


def attend_for_export(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Compute :func:`attend` for any number of images and windows: the operators broadcast what windows share."""
    if torch.onnx.is_in_onnx_export():  # the exporter supports torch's attention in four dimensions only
        out = compute_attention_weights(q, k, bias) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v, bias)
    # At run time, the strides of the result may differ from the traced ones, on which merge_heads depends.
    return out.transpose(2, 3).clone(memory_format=torch.contiguous_format).transpose(2, 3)


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
