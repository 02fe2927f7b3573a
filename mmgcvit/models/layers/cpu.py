"""Process large feature maps on CPUs in chunks that reuse memory, and compute linear layers with oneDNN.

Up to rounding, results are the same as without chunks and oneDNN. But drop path and dropout draw other random numbers.

Why chunks: glibc gets the memory of a large tensor from the operating system, which zeroes each page, and gives it back
after use. Allocating 38 MB takes longer than the matrix product that fills them. Small tensors reuse freed memory.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .autocast import Conv2d, get_weights
from .tracing import is_tracing

# Size of the largest tensor of a chunk of images. 4 to 16 MB are equally fast in inference, 12 to 24 MB in training.
IMAGE_CHUNK_BYTES = 16 << 20
# Size of the largest tensor of a chunk of tokens, if one image exceeds IMAGE_CHUNK_BYTES. 2 to 8 MB are equally fast.
TOKEN_CHUNK_BYTES = 4 << 20
# Size of the T copies (LSA) of a chunk of patches; 4 MB fit the cache. Compared with all patches at once, chunks
# take 0.5 to 0.6 times as long for large maps, and 1.3 to 1.5 times as long for maps that fit the cache.
PATCH_CHUNK_BYTES = 4 << 20
# Size of the largest tensor whose freed memory glibc can keep: 32 MB minus glibc's overhead.
MAX_KEPT_BYTES = (32 << 20) - (64 << 10)
# torch computes a 1x1 convolution with oneDNN if the input has more elements than this and there are several threads.
MIN_ONEDNN_ELEMENTS = 20480
CPUINFO = Path('/proc/cpuinfo')
HOOK_ATTRIBUTES = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')


def run_in_chunks(downsampler: nn.Module, stage: nn.Module, x: Tensor) -> Tensor:
    """Compute ``stage(downsampler(x))``. On a CPU a large batch is processed a few images at a time.

    For the first stage, ``downsampler`` is the stem and ``x`` are images; otherwise ``x`` are feature maps.
    """
    if benefits_from_chunks(x):
        keep_freed_memory()
        if len(x) > 1:
            # Number of elements of the largest tensor of one image. A stem has a method that computes it. Any other
            # downsampler halves the number of elements of x, and the stage's MLPs multiply the result by about four.
            is_stem = hasattr(downsampler, 'compute_max_numel')
            elements = downsampler.compute_max_numel(x.shape[2:]) if is_stem else 2 * x.numel() // len(x)
            chunk_size = max(IMAGE_CHUNK_BYTES // (elements * x.element_size()), 1)
            if len(x) > chunk_size and not has_hooks(downsampler) and not has_hooks(stage):
                return torch.cat([stage(downsampler(chunk)) for chunk in x.split(chunk_size)])
    return stage(downsampler(x))


def chunk_tokens(forward: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Decorate the ``forward`` of a module that processes each token of (..., C) independently.

    On a CPU a large feature map is processed in chunks of tokens. In training, activation checkpointing recomputes the
    activations of a chunk in the backward pass, with the same random numbers.
    """

    @functools.wraps(forward)
    def chunked_forward(module: nn.Module, x: Tensor) -> Tensor:
        if not benefits_from_chunks(x):
            return forward(module, x)
        max_channels = max(getattr(layer, 'out_features', x.shape[-1]) for layer in module.modules())
        token_bytes = max_channels * x.element_size()
        if x.numel() // x.shape[-1] * token_bytes <= IMAGE_CHUNK_BYTES or has_hooks(module):
            return forward(module, x)
        call = functools.partial(forward, module)
        if torch.is_grad_enabled():
            call = functools.partial(checkpoint, call, use_reentrant=False)
        chunks = x.reshape(-1, x.shape[-1]).split(max(TOKEN_CHUNK_BYTES // token_bytes, 1))
        return torch.cat([call(chunk) for chunk in chunks]).unflatten(0, x.shape[:-1])

    return chunked_forward


def chunk_patches(attend: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Decorate a method that computes each patch from its own T copies: (T, ..., C) to (..., C).

    In inference on a CPU, patches are processed in chunks.
    """

    @functools.wraps(attend)
    def chunked_attend(module: nn.Module, copies: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not benefits_from_chunks(copies) or has_hooks(module):
            return attend(module, copies)
        patches = copies.flatten(1, -2)
        patch_bytes = len(patches) * patches.shape[-1] * patches.element_size()
        chunks = patches.split(max(PATCH_CHUNK_BYTES // patch_bytes, 1), dim=1)
        return torch.cat([attend(module, chunk) for chunk in chunks]).unflatten(0, copies.shape[1:-1])

    return chunked_attend


def benefits_from_chunks(x: Tensor) -> bool:
    """Return whether chunks can be faster: on a CPU, if torch does not trace the caller."""
    return x.device.type == 'cpu' and not is_tracing()


@functools.cache
def keep_freed_memory() -> None:
    """Make glibc keep freed memory for later tensors, by allocating and freeing a tensor of 32 MB once per process.

    When such a block is freed, glibc raises its mmap threshold to the block's size. From then on it keeps the freed
    memory of tensors up to that size. This saves up to a fifth of the time of inference.
    """
    torch.empty(MAX_KEPT_BYTES, dtype=torch.uint8, device='cpu')


class Linear(nn.Linear):
    """``nn.Linear``, computed by the faster of oneDNN and MKL: (..., C) to (..., C').

    On CPUs torch computes float32 linear layers with MKL and convolutions with oneDNN. With several threads, oneDNN is
    up to twice as fast on processors that are not Intel's, so there the layer is computed as a 1x1 convolution.
    """

    reads_cast_weights: ClassVar[bool] = True  # autocast.cast_weights_together casts its weights

    def forward(self, x: Tensor) -> Tensor:
        return apply_linear(x, *get_weights(self))


PLAIN_LAYERS = (Linear, nn.Linear, Conv2d, nn.Conv2d)


def apply_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute ``F.linear``; if oneDNN is faster, by a 1x1 convolution of a channels-last view of ``x``."""
    if is_tracing() or not is_onednn_faster() or not supports_onednn(x, weight):
        return F.linear(x, weight, bias)
    tokens = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    out = F.conv2d(tokens, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


def supports_onednn(x: Tensor, weight: Tensor) -> bool:
    """Return whether torch would compute a 1x1 convolution of tokens ``x`` with this weight by oneDNN."""
    is_float32_on_cpu = all(tensor.device.type == 'cpu' and tensor.dtype == torch.float32 for tensor in (x, weight))
    is_large = x.numel() > MIN_ONEDNN_ELEMENTS and torch.get_num_threads() > 1
    return is_float32_on_cpu and is_large and type(weight) in (Tensor, nn.Parameter)


@functools.cache
def is_onednn_faster() -> bool:
    """Return whether torch's linear layers use MKL and the processor is not Intel's (says /proc/cpuinfo)."""
    return torch.backends.mkl.is_available() and CPUINFO.is_file() and 'GenuineIntel' not in CPUINFO.read_text()


def has_hooks(layer: nn.Module) -> bool:
    """Return whether a hook is registered for the layer, for one of its submodules, or for all modules (globally)."""
    has_global_hooks = any(getattr(nn.modules.module, f'_global{name}') for name in HOOK_ATTRIBUTES)
    return has_global_hooks or any(map(has_own_hooks, layer.modules()))


def has_own_hooks(layer: nn.Module) -> bool:
    """Return whether a hook is registered for the layer itself."""
    return any(getattr(layer, name) for name in HOOK_ATTRIBUTES)


def is_plain(layer: nn.Module) -> bool:
    """Return whether a layer may be computed from its weights without calling it.

    This holds for linear layers and convolutions of torch and of this package that have no hooks, whose ``forward`` was
    not replaced, and whose weight is an ordinary tensor (not quantized, for example).
    """
    has_plain_forward = type(layer) in PLAIN_LAYERS and 'forward' not in vars(layer) and not has_own_hooks(layer)
    return has_plain_forward and (is_tracing() or type(layer.weight) in (Tensor, nn.Parameter))
