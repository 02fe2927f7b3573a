"""Attention with a learnable position bias on a CPU, without keeping the scores: less memory and time in training.

torch's fused kernel has no gradient for a bias: where one is needed, torch computes the scores of all windows and keeps
several copies. Here the forward pass is the fused kernel; the backward pass recomputes the scores, a few windows at a
time, and sums up the bias' gradient. Both are custom operators, one node each for torch.compile.

Shapes: B images, nW windows of one image, N tokens of a window, nH heads, d channels of a head, n windows at a time.
"""

from typing import Any

import torch
from torch import Tensor

from .tracing import is_exporting
from .windows import windows_as_batch

# How many scores the backward pass holds at a time: 1 MB of float32, which stays in a core's cache.
CHUNK = 1 << 18
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def serves_trained_bias(q: Tensor, bias: Tensor | None) -> bool:
    """Whether :func:`attend_with_trained_bias` serves these tensors, and is the faster way for them."""
    if bias is None or bias.ndim != 3 or not bias.requires_grad or not torch.is_grad_enabled() or is_exporting():
        return False
    return OPERATORS_KNOWN and q.device.type == 'cpu' and q.dtype in DTYPES


def attend_with_trained_bias(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v, with gradients for all four, but no double backward.

    k, v and the result are (B, nW, nH, N, d); q too, or (B, 1, nH, N, d) where all windows of an image share their
    queries; the bias is (nH, N, N), [head, query, key], in their dtype.
    """
    return forward_operator(q, k, v, bias)[0]


def fused_forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Attention (B, nW, nH, N, d), and the log-sum-exp of the scores (B, nW, nH, N)."""
    shape, kernel = k.shape[:2], torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    operands = (windows_as_batch(x, k.shape[1]) for x in (q, k, v))
    out, logsumexp = kernel(*operands, attn_mask=bias.unsqueeze(0))
    return out.unflatten(0, shape), logsumexp.unflatten(0, shape)


def empty_gradient(x: Tensor) -> Tensor:
    """Memory for a gradient of the shape of ``x``, (B, nW, nH, N, d), with tokens before heads."""
    return torch.empty_like(x.transpose(2, 3), memory_format=torch.contiguous_format).transpose(2, 3)


def chunked_backward(
    grad_out: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, out: Tensor, logsumexp: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of q, k, v and the bias, in their shapes and dtypes."""
    grads = [empty_gradient(q).zero_(), empty_gradient(k), empty_gradient(v)]
    grad_bias = torch.zeros_like(bias, dtype=torch.promote_types(bias.dtype, torch.float32))
    given = (grad_out, q, k, v, out, logsumexp, *grads)
    if q.shape[1] == k.shape[1]:
        # Windows share nothing, so those of all images may come in one chunk.
        given = tuple(x.flatten(0, 1).unsqueeze(0) for x in given)
    with torch.autocast('cpu', enabled=False):
        for of_image in zip(*given, strict=True):
            num_windows, size = max(map(len, of_image)), max(CHUNK // bias.numel(), 1)
            for i in range(0, num_windows, size):
                # What windows share is in each chunk.
                of_windows = (x[i : i + size] if len(x) == num_windows else x for x in of_image)
                grad_bias += backward_windows(bias, *of_windows)
    return *grads, grad_bias.to(bias.dtype)


def backward_windows(bias: Tensor, *of_windows: Tensor) -> Tensor:
    """Add to grad_q, write grad_k and grad_v of n windows, tensors (n, nH, N, d), and return the bias' gradient."""
    grad_out, q, k, v, out, logsumexp, grad_q, grad_k, grad_v = of_windows
    num_windows = len(k)
    precise = torch.promote_types(bias.dtype, torch.float32)
    bias, grad_out, q, k, v, out = (x.to(precise) for x in (bias, grad_out, q, k, v, out))
    scale = q.shape[-1] ** -0.5
    mean_gradient = (grad_out * out).sum(-1, keepdim=True).flatten(0, 1)
    # (n*nH, N, d), copied once for all products, and not at all where the chunk is one window.
    grad_out, q, k, v = (x.expand(num_windows, -1, -1, -1).flatten(0, 1) for x in (grad_out, q, k, v))
    weights = (bias - logsumexp.unsqueeze(-1)).flatten(0, 1)
    weights.baddbmm_(q, k.mT, alpha=scale).exp_()
    grad_v.copy_((weights.mT @ grad_out).view(grad_v.shape))
    grad_scores = (grad_out @ v.mT).sub_(mean_gradient).mul_(weights)
    torch.mul((grad_scores.mT @ q).view(grad_k.shape), scale, out=grad_k)
    grad_q.add_((grad_scores @ k).view(grad_k.shape).sum_to_size(grad_q.shape), alpha=scale)
    grad_scores = grad_scores.unflatten(0, (num_windows, -1))
    return grad_scores[0] if num_windows == 1 else grad_scores.sum(0)


def keep_for_backward(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    """Save what the backward pass needs: no scores, so memory is linear in N."""
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*inputs, *output)


def backward(ctx: Any, grad_out: Tensor, grad_logsumexp: Tensor) -> tuple[Tensor, ...]:
    """Gradients of the operator's arguments. The log-sum-exp is an output for this function's sake only."""
    return backward_operator(grad_out, *ctx.saved_tensors)


def forward_shapes(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Shapes and strides of what :func:`fused_forward` returns; the kernel lays out the result like the queries."""
    batch, num_windows, num_heads, num_tokens, _ = k.shape
    out = torch.empty_like(windows_as_batch(q, num_windows))
    logsumexp = k.new_empty(
        batch, num_windows, num_tokens, num_heads, dtype=torch.promote_types(k.dtype, torch.float32)
    )
    return out.unflatten(0, (batch, num_windows)), logsumexp.transpose(2, 3)


def backward_shapes(
    grad_out: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, out: Tensor, logsumexp: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Shapes and strides of what :func:`chunked_backward` returns."""
    return *(empty_gradient(x) for x in (q, k, v)), torch.zeros_like(bias)


OPERATORS_KNOWN = hasattr(torch.library, 'custom_op')  # from torch 2.4
if OPERATORS_KNOWN:
    forward_operator = torch.library.custom_op('mmgcvit::attend_with_trained_bias', fused_forward, mutates_args=())
    forward_operator.register_fake(forward_shapes)
    forward_operator.register_autograd(backward, setup_context=keep_for_backward)
    backward_operator = torch.library.custom_op(
        'mmgcvit::attend_with_trained_bias_backward', chunked_backward, mutates_args=()
    )
    backward_operator.register_fake(backward_shapes)
