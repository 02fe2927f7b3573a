"""Train attention with a learnable position bias on a CPU without storing the scores, in less memory and time.

torch's fused CPU kernel has no gradient for a bias. For this gradient, torch stores the scores of all windows several
times. In this file, the forward pass uses the fused kernel, and the backward pass recomputes the scores of a few
windows at a time. Each of the two passes is a custom operator, which torch.compile calls without tracing it.

Shapes: B images, nW windows of one image, N tokens of a window, nH heads, d channels of a head, n windows of a chunk.
"""

from typing import Any

import torch
from torch import Tensor

from .tracing import is_exporting
from .windows import fold_windows_into_batch

# How many scores the backward pass computes at a time: 1 MB in float32, which fits the cache of a core.
CHUNK_SCORES = 1 << 18
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def supports_learnable_bias(q: Tensor, bias: Tensor | None) -> bool:
    """Return whether :func:`attend_with_learnable_bias` supports these tensors and is faster for them."""
    if bias is None or bias.ndim != 3 or not bias.requires_grad or not torch.is_grad_enabled() or is_exporting():
        return False
    return HAS_CUSTOM_OP and q.device.type == 'cpu' and q.dtype in DTYPES


def attend_with_learnable_bias(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Compute softmax(q k^T / sqrt(d) + bias) v. It has gradients for q, k, v and the bias, but no double backward.

    k, v and the result are (B, nW, nH, N, d). q has this shape too, or (B, 1, nH, N, d) if all windows of an image
    share it. The bias is (nH, N, N), indexed [head, query, key], in the dtype of q, k and v.
    """
    return forward_operator(q, k, v, bias)[0]


def attend_forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output of attention (B, nW, nH, N, d) and the log-sum-exp of the scores (B, nW, nH, N)."""
    shape, kernel = k.shape[:2], torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    operands = (fold_windows_into_batch(x, k.shape[1]) for x in (q, k, v))
    out, logsumexp = kernel(*operands, attn_mask=bias.unsqueeze(0))
    return out.unflatten(0, shape), logsumexp.unflatten(0, shape)


def allocate_gradient(x: Tensor) -> Tensor:
    """Allocate a gradient of the shape of ``x``, (B, nW, nH, N, d). In memory its tokens come before its heads."""
    return torch.empty_like(x.transpose(2, 3), memory_format=torch.contiguous_format).transpose(2, 3)


def attend_backward(
    grad_out: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, out: Tensor, logsumexp: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of q, k, v and the bias, in their shapes and dtypes."""
    grads = [allocate_gradient(q).zero_(), allocate_gradient(k), allocate_gradient(v)]
    grad_bias = torch.zeros_like(bias, dtype=torch.promote_types(bias.dtype, torch.float32))
    tensors = (grad_out, q, k, v, out, logsumexp, *grads)
    if q.shape[1] == k.shape[1]:
        # No windows share a query, so a chunk may have windows of several images: treat all as one image's windows.
        tensors = tuple(x.flatten(0, 1).unsqueeze(0) for x in tensors)
    with torch.autocast('cpu', enabled=False):
        for image_tensors in zip(*tensors, strict=True):
            num_windows, chunk_size = max(map(len, image_tensors)), max(CHUNK_SCORES // bias.numel(), 1)
            for i in range(0, num_windows, chunk_size):
                # q and its gradient have length 1 if the image's windows share them. Then each chunk gets both.
                chunk = (x[i : i + chunk_size] if len(x) == num_windows else x for x in image_tensors)
                grad_bias += compute_window_gradients(bias, *chunk)
    return *grads, grad_bias.to(bias.dtype)


def compute_window_gradients(bias: Tensor, *tensors: Tensor) -> Tensor:
    """Compute the gradients of n windows: add to grad_q, overwrite grad_k and grad_v in place, and return grad_bias.

    ``tensors`` are grad_out, q, k, v, out, logsumexp, grad_q, grad_k and grad_v, each (n, nH, N, d). Two exceptions:
    logsumexp is (n, nH, N), and q and grad_q are (1, nH, N, d) if the windows share their queries.
    """
    grad_out, q, k, v, out, logsumexp, grad_q, grad_k, grad_v = tensors
    num_windows = len(k)
    precise = torch.promote_types(bias.dtype, torch.float32)
    bias, grad_out, q, k, v, out = (x.to(precise) for x in (bias, grad_out, q, k, v, out))
    scale = q.shape[-1] ** -0.5
    # The gradient of softmax is weights * (grad_weights - delta), where delta is a number per query (FlashAttention).
    delta = (grad_out * out).sum(-1, keepdim=True).flatten(0, 1)
    # Merge windows and heads to (n*nH, N, d) for batched products. This copies each tensor, unless n is 1.
    grad_out, q, k, v = (x.expand(num_windows, -1, -1, -1).flatten(0, 1) for x in (grad_out, q, k, v))
    weights = (bias - logsumexp.unsqueeze(-1)).flatten(0, 1)
    weights.baddbmm_(q, k.mT, alpha=scale).exp_()
    grad_v.copy_((weights.mT @ grad_out).view(grad_v.shape))
    grad_scores = (grad_out @ v.mT).sub_(delta).mul_(weights)
    torch.mul((grad_scores.mT @ q).view(grad_k.shape), scale, out=grad_k)
    grad_q.add_((grad_scores @ k).view(grad_k.shape).sum_to_size(grad_q.shape), alpha=scale)
    grad_scores = grad_scores.unflatten(0, (num_windows, -1))
    return grad_scores[0] if num_windows == 1 else grad_scores.sum(0)


def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    """Save inputs and outputs for the backward pass, but no scores, so that the memory per window is linear in N."""
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*inputs, *output)


def backward(ctx: Any, grad_out: Tensor, grad_logsumexp: Tensor) -> tuple[Tensor, ...]:
    """Return the gradients of q, k, v and bias. logsumexp is an output only to be saved. Ignore its gradient."""
    return backward_operator(grad_out, *ctx.saved_tensors)


def fake_forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Allocate the outputs of :func:`attend_forward` for torch.compile (fake kernel). ``out`` has the strides of q."""
    batch, num_windows, num_heads, num_tokens, _ = k.shape
    out = torch.empty_like(fold_windows_into_batch(q, num_windows))
    logsumexp = k.new_empty(
        batch, num_windows, num_tokens, num_heads, dtype=torch.promote_types(k.dtype, torch.float32)
    )
    return out.unflatten(0, (batch, num_windows)), logsumexp.transpose(2, 3)


def fake_backward(
    grad_out: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, out: Tensor, logsumexp: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Allocate the outputs of :func:`attend_backward` for torch.compile (fake kernel)."""
    return *(allocate_gradient(x) for x in (q, k, v)), torch.zeros_like(bias)


HAS_CUSTOM_OP = hasattr(torch.library, 'custom_op')  # from torch 2.4
if HAS_CUSTOM_OP:
    forward_operator = torch.library.custom_op('mmgcvit::attend_with_learnable_bias', attend_forward, mutates_args=())
    forward_operator.register_fake(fake_forward)
    forward_operator.register_autograd(backward, setup_context=setup_context)
    backward_operator = torch.library.custom_op(
        'mmgcvit::attend_with_learnable_bias_backward', attend_backward, mutates_args=()
    )
    backward_operator.register_fake(fake_backward)
