"""Call torch's fused attention kernels for all windows at once: memory layout and size limits.

Shapes: B batch, nW windows of one image, N queries and M keys of a window, nH heads, d channels of
    a head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# The largest batch of torch's attention kernels, by device type: CUDA limits the y and z dimensions
# of a grid.
MAX_BATCH = {'cuda': 65535}


def fold_windows(x: Tensor) -> Tensor:
    """Merge images and windows into one batch: (B, nW, nH, N, d) to (B*nW, nH, N, d).

    In memory tokens come before heads. This holds for the kernel's result too, so that heads are
    merged without a copy.
    """
    return x.transpose(2, 3).flatten(0, 1).transpose(1, 2)


def sdpa(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute softmax(q k^T / sqrt(d) + bias) v by a fused kernel.

    Queries are (B*nW, nH, N, d), keys and values (B*nW, nH, M, d), the bias (nH, N, M). Return
    (B*nW, nH, N, d). If the device limits the batch, call the kernel for parts of it.
    """
    # Fused kernels assume contiguous channels and do not check.
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
    if bias is not None:
        bias = bias.unsqueeze(0)  # with three dimensions, torch uses a slower kernel on CPUs
    limit = MAX_BATCH.get(v.device.type, len(v))
    if len(v) <= limit:
        return F.scaled_dot_product_attention(q, k, v, bias)
    parts = zip(q.split(limit), k.split(limit), v.split(limit), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part, bias) for part in parts])
