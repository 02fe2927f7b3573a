"""Multi-head attention inside windows: split heads, attend, merge heads. The one place that calls attention kernels.

Shapes: B batch, nW windows of one image, N tokens of a window, C channels, nH heads, d = C/nH.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from .tracing import is_exporting
from .trained_bias import attend_with_trained_bias, serves_trained_bias
from .windows import windows_as_batch

try:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    ORDERED = hasattr(torch._C, '_get_sdp_priority_order')  # from torch 2.6
except ImportError:  # before torch 2.3
    ORDERED = False

# The largest number of blocks in two of the three dimensions of a CUDA launch; torch's kernels have heads in one and
# windows in the other.
MAX_LAUNCH = 65535


def split_heads(x: Tensor, num_heads: int, chunks: int = 1) -> tuple[Tensor, ...]:
    """Split a projection's channels into chunks (q, k, v or k, v) and heads, chunk-major then head-major.

    Shapes: (B, nW, N, chunks*C) to ``chunks`` tensors (B, nW, nH, N, d).
    """
    # Chunks come before heads and tokens are swapped: the chunks' gradients are then joined in one copy.
    width = x.shape[-1] // (chunks * num_heads)
    return tuple(chunk.transpose(2, 3) for chunk in x.unflatten(-1, (chunks, num_heads, width)).unbind(3))


def merge_heads(x: Tensor) -> Tensor:
    """Undo :func:`split_heads`: (B, nW, nH, N, d) to (B, nW, N, C)."""
    merged = x.transpose(2, 3)
    if is_exporting():  # where the graph runs, the kernel's result may have other strides than the traced one
        merged = merged.clone(memory_format=torch.contiguous_format)
    return merged.flatten(3)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention, with a bias or without: softmax(q k^T / sqrt(d) + bias) v.

    Args:
        q: (B, nW, nH, N, d), or (B, nH, N, d) where all windows of an image share them.
        k: As ``q``.
        v: As ``q``. At least one of the three has windows.
        bias: (nH, N, N), [head, query, key], for all windows, or (nW, nH, N, N), one for each window of an image.

    Returns:
        (B, nW, nH, N, d).
    """
    dtype = v.dtype  # under autocast that of linear layers; the global query comes in float32
    q, k, bias = q.to(dtype), k.to(dtype), None if bias is None else bias.to(dtype)
    batch, num_windows = next(x for x in (v, k, q) if x.ndim == 5).shape[:2]
    own_keys = k.ndim == v.ndim == 5
    q, k, v = (x if x.ndim == 5 else x.unsqueeze(1) for x in (q, k, v))
    if own_keys and serves_trained_bias(q, bias) and not user_chose_backends():
        return attend_with_trained_bias(q, k, v, bias)
    if torch.onnx.is_in_onnx_export():  # whose exporters convert torch's attention in four dimensions only
        return attention_weights(q, k, bias) @ v
    if is_exporting():
        return F.scaled_dot_product_attention(q, k, v, bias)  # broadcasts what windows share
    queries, keys, values = (windows_as_batch(x, num_windows) for x in (q, k, v))
    if bias is not None:
        # Always four dimensions: with three torch silently leaves its fused kernel for CPUs.
        bias = bias.unsqueeze(0) if bias.ndim == 3 else bias.expand(batch, *bias.shape).flatten(0, 1)
    with select_backends(values, bias):
        chunks = [F.scaled_dot_product_attention(*chunk) for chunk in split_launches(queries, keys, values, bias)]
    out = chunks[0] if len(chunks) == 1 else torch.cat(chunks)
    return out.unflatten(0, (batch, num_windows))


def attention_weights(q: Tensor, k: Tensor, bias: Tensor | None = None) -> Tensor:
    """The weights that :func:`attend` gives the values: (B, nW, nH, N, N), [query, key]. Not by a fused kernel."""
    q, k = (x if x.ndim == 5 else x.unsqueeze(1) for x in (q.to(k.dtype), k))
    scores = q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)
    return (scores if bias is None else scores + bias).softmax(-1)


def share_queries(q: Tensor, num_windows: int) -> Tensor:
    """Prepare queries that all windows of an image share, once for several calls of :func:`attend`.

    (B, nH, N, d) to (B, nW, nH, N, d), as CUDA kernels need a copy for each window. On a CPU one contiguous copy does,
    (B, nH, N, d), from which the backward pass sums gradients faster; and in exports, for any number of windows.
    """
    q = q.transpose(1, 2)  # tokens before heads in memory, as in projections
    if q.device.type != 'cuda' or is_exporting():
        return q.contiguous().transpose(1, 2)
    return q.unsqueeze(1).expand(-1, num_windows, -1, -1, -1).contiguous().transpose(2, 3)


def backends(device_type: str, dtype: torch.dtype, has_bias: bool) -> 'list[SDPBackend]':
    """The kernels of ``scaled_dot_product_attention`` to choose from, best first; empty: torch's own choice.

    On CUDA: flash where there is no bias, which it cannot take; then memory-efficient, the only fused kernel with a
    gradient for a bias; math for what that rejects (float64, odd head dimensions). Not cuDNN, which torch prefers on
    recent GPUs: it takes 0.06 to 1 s to plan for each number of windows, of which detection has many.
    """
    if device_type != 'cuda':
        return []
    if dtype not in (torch.float16, torch.bfloat16, torch.float32):
        return [SDPBackend.MATH]
    flash = [SDPBackend.FLASH_ATTENTION] if not has_bias and dtype != torch.float32 else []
    return [*flash, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def select_backends(values: Tensor, bias: Tensor | None) -> AbstractContextManager:
    """The context for a call of torch's attention: :func:`backends`, unless the user chose, or in an export."""
    if not ORDERED or is_exporting() or user_chose_backends():
        return nullcontext()
    wanted = backends(values.device.type, values.dtype, bias is not None)
    return sdpa_kernel(wanted, set_priority=True) if wanted else nullcontext()


def excludes_a_backend() -> bool:
    """Whether a ``torch.nn.attention.sdpa_kernel`` context or a switch of ``torch.backends.cuda`` excludes a kernel."""
    cuda = torch.backends.cuda
    enabled = cuda.flash_sdp_enabled() and cuda.mem_efficient_sdp_enabled() and cuda.math_sdp_enabled()
    return not (enabled and getattr(cuda, 'cudnn_sdp_enabled', cuda.math_sdp_enabled)())


# A compiled graph keeps the choice from when it was made. As torch.compiler.assume_constant_result does, which would
# import the compiler. Called by a second name, as earlier compilers overwrite the global of the function's own name
# with the result.
excludes_a_backend._dynamo_marked_constant = True
user_chose_backends = excludes_a_backend


def split_launches(*tensors: Tensor | None) -> Iterator[tuple[Tensor | None, ...]]:
    """Split q, k, v and a bias (B*nW, ...) into what one CUDA launch can take; a bias (1, ...) of all is not split."""
    values = tensors[2]
    if not needs_launches(values) or values.shape[0] <= MAX_LAUNCH:
        yield tensors
        return
    for i in range(0, values.shape[0], MAX_LAUNCH):
        yield tuple(x if x is None or x.shape[0] == 1 else x[i : i + MAX_LAUNCH] for x in tensors)


def needs_launches(values: Tensor) -> bool:
    """Whether the device limits how many windows a kernel takes at a time."""
    return values.device.type == 'cuda'
