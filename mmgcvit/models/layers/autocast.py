"""Replace the many small casts of autocast by few large ones, which launch fewer CUDA kernels.

Autocast casts each weight in its own kernel, and autograd casts the weight's gradient back in another one. These casts
are a third of the kernels of GC ViT's training step. In this file, one kernel casts the weights of all layers of a
block (:func:`cast_weights_together`), and residual connections need no cast (:func:`add_scaled`).
"""

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .tracing import is_tracing

# Maps the weights and biases of the module whose forward is running to their cast copies.
CAST_WEIGHTS: ContextVar[dict[Tensor, Tensor]] = ContextVar('CAST_WEIGHTS')


def get_autocast_dtype(device_type: str) -> torch.dtype | None:
    """Return the dtype in which autocast computes linear layers; None if autocast is off."""
    if not hasattr(torch, 'get_autocast_dtype'):  # before torch 2.4
        if device_type == 'cpu':
            return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else None
        return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else None
    # The meta device has no autocast.
    is_enabled = device_type != 'meta' and torch.is_autocast_enabled(device_type)
    return torch.get_autocast_dtype(device_type) if is_enabled else None


def cast_for_autocast(x: Tensor) -> Tensor:
    """Cast a tensor to the dtype in which autocast computes linear layers. Autocast leaves float64 as it is."""
    dtype = None if x.dtype == torch.float64 else get_autocast_dtype(x.device.type)
    return x.to(dtype or x.dtype)


def cast_weights_together(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorate the ``forward`` of a module: under autocast, cast the weights of its layers in one kernel.

    This affects only layers that read their weights through :func:`get_weights`. torch.compile fuses casts by itself.
    """

    @functools.wraps(forward)
    def cast_and_forward(module: nn.Module, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if get_autocast_dtype(x.device.type) is None or is_tracing():
            return forward(module, x, *args, **kwargs)
        # The list is made once, as walking over modules takes longer than a kernel does. Autocast itself casts the
        # weights of a layer that is replaced later.
        if 'cast_layers' not in vars(module):
            module.cast_layers = [layer for layer in module.modules() if getattr(layer, 'reads_cast_weights', False)]
        # As autocast does, cast float32 only.
        weights = [x for layer in module.cast_layers for x in layer.parameters(False) if x.dtype == torch.float32]
        cast_weights = CastTogether.apply(*weights) if weights else ()
        token = CAST_WEIGHTS.set(dict(zip(weights, cast_weights, strict=True)))
        try:
            return forward(module, x, *args, **kwargs)
        finally:
            CAST_WEIGHTS.reset(token)

    return cast_and_forward


def get_weights(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Return the weight and bias of a layer: their cast copies inside :func:`cast_weights_together`."""
    copies = {} if is_tracing() else CAST_WEIGHTS.get({})
    weight, bias = copies.get(layer.weight, layer.weight), copies.get(layer.bias, layer.bias)
    # A part of the module may have turned autocast off, or chosen another dtype.
    if copies and weight.dtype != get_autocast_dtype(weight.device.type):
        return layer.weight, layer.bias
    return weight, bias


class Conv2d(nn.Conv2d):
    """``nn.Conv2d`` whose weights may be cast with those of other layers."""

    reads_cast_weights: ClassVar[bool] = True

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, *get_weights(self))


class CastTogether(torch.autograd.Function):
    """Cast float32 tensors to autocast's dtype in one kernel, and their gradients back in another."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        outputs = cast_together(tensors, get_autocast_dtype(tensors[0].device.type))
        # Unused and frozen weights get no gradients, as without this function.
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(
            *(x for x, needs_grad in zip(outputs, ctx.needs_input_grad, strict=True) if not needs_grad)
        )
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        cast_grads = iter(cast_together([grad for grad in grads if grad is not None], torch.float32))
        return tuple(None if grad is None else next(cast_grads) for grad in grads)


def cast_together(tensors: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Cast tensors to a dtype in one kernel (before torch 2.4, in one kernel for each tensor)."""
    outputs = tuple(torch.empty_like(tensor, dtype=dtype) for tensor in tensors)
    if outputs:
        torch._foreach_copy_(outputs, tensors)
    return outputs


def add_scaled(x: Tensor, branch: Tensor, factors: Tensor) -> Tensor:
    """Return ``x + branch * factors`` in the dtype of ``x``. Under torch.compile, let torch fuse the operations.

    Args:
        x: (B, H, W, C).
        branch: (B, H, W, C), in the dtype of ``x`` or, under autocast, in half precision.
        factors: (C,), (B, 1, 1, 1) or (B, 1, 1, C).
    """
    return torch.addcmul(x, branch, factors) if is_tracing() else AddScaled.apply(x, branch, factors)


class AddScaled(torch.autograd.Function):
    """:func:`add_scaled` in one kernel, with another one for the gradient of the branch. No double backward.

    Under autocast, ``x + branch * factors`` would cast the branch to float32 first, and its gradient back. Operators
    with an ``out`` argument are not autocast, and cast inside their kernel.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, branch: Tensor, factors: Tensor) -> Tensor:
        ctx.branch_dtype = branch.dtype
        ctx.save_for_backward(branch if ctx.needs_input_grad[2] else None, factors)
        return torch.addcmul(x, branch, factors, out=torch.empty_like(x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        branch, factors = ctx.saved_tensors
        grad_branch = torch.mul(grad, factors, out=torch.empty_like(grad, dtype=ctx.branch_dtype))
        return grad, grad_branch, None if branch is None else (grad * branch).sum_to_size(factors.shape)
