"""What makes large maps faster on a CPU: chunks that reuse memory, and the faster library for matrix products.

Results are the same without, except for the order in which drop path and dropout draw random numbers.

Chunks: glibc gets the memory of a large tensor from the system and soon gives it back, and the system zeroes each page
that it hands out: allocating 38 MB takes longer than the matrix product that fills them. Small tensors reuse memory.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils.checkpoint import checkpoint

from .tracing import is_tracing, is_transformed

# The largest tensor in a chunk of images: 4 to 16 MB are equally fast in inference, 12 to 24 in training.
IMAGE_CHUNK_BYTES = 16 << 20
# The largest tensor in a chunk of tokens, where one image alone has more than that: 2 to 8 MB are equally fast.
TOKEN_CHUNK_BYTES = 4 << 20
# The shifted copies in a chunk of patches: 4 MB stay in the cache. Takes 0.5 to 0.6 of the time of all patches at once
# where they are many, and 1.3 to 1.5 where they would fit anyway.
PATCH_CHUNK_BYTES = 4 << 20
# The largest tensor whose memory glibc can keep: 32 MB, less its own overhead.
MOST_BYTES_KEPT = (32 << 20) - (64 << 10)
# A call of oneDNN takes 10 us longer than one of MKL, which products of fewer elements do not make up for.
FEWEST_ELEMENTS = 20480
# Whether torch has both libraries, and, from torch 2.4 on, tells whether autocast is on.
ONEDNN_KNOWN = (
    torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available() and hasattr(torch, 'get_autocast_dtype')
)
CPUINFO = Path('/proc/cpuinfo')
HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')


def images_in_chunks(before: nn.Module, stage: nn.Module, images: Tensor) -> Tensor:
    """``stage(before(images))``, on a CPU a few images at a time where all at once would make large tensors.

    ``before`` is the stem, or the downsampler before the stage, and ``images`` may be maps of the stage before.
    """
    if suit_chunks(images):
        keep_freed_memory()
        if len(images) > 1:
            chunk_size = max(IMAGE_CHUNK_BYTES // (most_elements(before, images) * images.element_size()), 1)
            if len(images) > chunk_size and not has_hooks(before) and not has_hooks(stage):
                return torch.cat([stage(before(chunk)) for chunk in images.split(chunk_size)])
    return stage(before(images))


def most_elements(before: nn.Module, images: Tensor) -> int:
    """Elements of the largest feature map that one image has on its way through ``stage(before(images))``.

    A stem has a method that tells. A downsampler halves the number of elements, and MLPs multiply it by about four.
    """
    if hasattr(before, 'most_elements'):
        return before.most_elements(images.shape[2:])
    return 2 * images.numel() // len(images)


def tokens_in_chunks(forward: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Decorate the ``forward`` of a module that processes each token of (..., C) on its own.

    On a CPU a large map is taken some tokens at a time. In training the activations inside are then recomputed in the
    backward pass, with the same random numbers.
    """

    @functools.wraps(forward)
    def chunked_forward(module: nn.Module, x: Tensor) -> Tensor:
        if not suit_chunks(x):
            return forward(module, x)
        widest = max(getattr(layer, 'out_features', x.shape[-1]) for layer in module.modules())
        token_bytes = widest * x.element_size()
        if x.numel() // x.shape[-1] * token_bytes <= IMAGE_CHUNK_BYTES or has_hooks(module):
            return forward(module, x)
        call = functools.partial(forward, module)
        if torch.is_grad_enabled():
            call = functools.partial(checkpoint, call, use_reentrant=False)
        chunks = x.reshape(-1, x.shape[-1]).split(max(TOKEN_CHUNK_BYTES // token_bytes, 1))
        return torch.cat([call(chunk) for chunk in chunks]).unflatten(0, x.shape[:-1])

    return chunked_forward


def patches_in_chunks(attend: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Decorate a method that processes each patch with its T shifted copies on its own, (T, ..., C) to (..., C).

    On a CPU inference takes some patches at a time.
    """

    @functools.wraps(attend)
    def chunked_attend(module: nn.Module, copies: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not suit_chunks(copies) or has_hooks(module):
            return attend(module, copies)
        patches = copies.flatten(1, -2)
        patch_bytes = len(patches) * patches.shape[-1] * patches.element_size()
        chunks = patches.split(max(PATCH_CHUNK_BYTES // patch_bytes, 1), dim=1)
        return torch.cat([attend(module, chunk) for chunk in chunks]).unflatten(0, copies.shape[1:-1])

    return chunked_attend


def suit_chunks(x: Tensor) -> bool:
    """Whether chunks can be faster at all: on a CPU, outside of traces."""
    return x.device.type == 'cpu' and not is_tracing()


@functools.cache
def keep_freed_memory() -> None:
    """Once in a process, allocate and free 32 MB.

    glibc takes the size of a freed block as its new threshold: memory of tensors up to that size is from then on kept
    for the next ones instead of given back. That saves inference up to a fifth of its time.
    """
    torch.empty(MOST_BYTES_KEPT, dtype=torch.uint8, device='cpu')


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer(x)``, for a linear layer or what a tool has put in its place: (..., C) to (..., C').

    torch computes float32 linear layers with MKL. On processors of other makers than Intel oneDNN is up to twice as
    fast, so there ``F.linear`` is computed by it while the layer is called. The layer stays torch's own, so that hooks,
    adapters and quantization work.
    """
    if suits_onednn(x):
        with ProductsByOneDNN():
            return layer(x)
    return layer(x)


class ProductsByOneDNN(TorchFunctionMode):
    """A context in which ``F.linear`` is computed by oneDNN, for tensors that it takes."""

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is F.linear and not kwargs and suits_onednn(*args[:2]):
            x, weight, *bias = args
            tokens = x.reshape(-1, x.shape[-1])  # here, as a function that returns a view costs a copy in training
            return Product.apply(tokens, weight, *bias).reshape(*x.shape[:-1], len(weight))
        return function(*args, **(kwargs or {}))


def suits_onednn(x: Tensor, *weights: Tensor) -> bool:
    """Whether oneDNN is to compute linear layers of these tokens, or the one with this weight."""
    if is_tracing() or is_transformed() or not ONEDNN_KNOWN or not torch.backends.mkldnn.enabled:
        return False
    # Autocast, and modes that count or fake operators, know torch's public ones only.
    if torch.is_autocast_enabled('cpu') or _get_current_dispatch_mode() is not None or x.numel() <= FEWEST_ELEMENTS:
        return False
    return mkl_is_slow() and all(is_ordinary(each) for each in (x, *weights))


def is_ordinary(x: Tensor) -> bool:
    """Whether a tensor is float32, on a CPU, and of no subclass."""
    return type(x) in (Tensor, nn.Parameter) and x.device.type == 'cpu' and x.dtype == torch.float32


class Product(torch.autograd.Function):
    """``F.linear`` by oneDNN: tokens (M, C), weight (C', C) and bias (C') to (M, C')."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'none', [], '')

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, *wants_bias = ctx.needs_input_grad
        grad_x = Product.apply(grad, weight.mT) if wants_x else None
        grad_weight = None
        if wants_weight:  # oneDNN is faster with more columns than rows
            wide = len(weight) < weight.shape[1]
            grad_weight = Product.apply(grad.mT, x.mT) if wide else Product.apply(x.mT, grad.mT).mT
        return grad_x, grad_weight, *(grad.sum(0) if wants else None for wants in wants_bias)


@functools.cache
def mkl_is_slow() -> bool:
    """Whether the processor is of another maker than Intel, for which MKL takes slower code."""
    return CPUINFO.is_file() and 'GenuineIntel' not in CPUINFO.read_text()


def has_hooks(layer: nn.Module) -> bool:
    """Whether a hook is registered for the layer, for one inside of it, or for all modules."""
    for_all_modules = any(getattr(nn.modules.module, f'_global{kind}') for kind in HOOKS)
    return for_all_modules or any(map(has_own_hooks, layer.modules()))


def has_own_hooks(layer: nn.Module) -> bool:
    """Whether a hook is registered for this very layer."""
    return any(getattr(layer, kind) for kind in HOOKS)


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer is torch's linear layer or convolution, has no hooks, and its weights are ordinary tensors."""
    plain = type(layer) in (nn.Linear, nn.Conv2d) and 'forward' not in vars(layer) and not has_own_hooks(layer)
    return plain and (is_tracing() or type(layer.weight) in (Tensor, nn.Parameter))
