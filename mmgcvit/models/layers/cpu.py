"""Speed of large maps on CPUs: chunks that reuse memory, and oneDNN for matrix products. The code says what each gains.

Only the order in which drop path and dropout draw random numbers differs from plain calls.

Chunks: glibc gets the memory of a large tensor from the system and soon gives it back, and the system zeroes each page
that it hands out: allocating 38 MB takes longer than the matrix product that fills them. Small tensors reuse memory.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .tracing import is_tracing

# The largest tensor in a chunk of images: 4 to 16 MB are equally fast in inference, 12 to 24 in training.
IMAGE_CHUNK_BYTES = 16 << 20
# The largest tensor in a chunk of tokens, where one image alone has more than that: 2 to 8 MB are equally fast.
TOKEN_CHUNK_BYTES = 4 << 20
# The shifted copies in a chunk of patches: 4 MB stay in the cache. Takes 0.5 to 0.6 of the time of all patches at once
# where they are many, and 1.3 to 1.5 where they would fit anyway.
PATCH_CHUNK_BYTES = 4 << 20
# The largest tensor whose memory glibc can keep: 32 MB, less its own overhead.
MOST_BYTES_KEPT = (32 << 20) - (64 << 10)
# torch gives 1x1 convolutions of maps with no more elements, and all of them where one thread computes, to MKL too.
FEWEST_ELEMENTS = 20480
CPUINFO = Path('/proc/cpuinfo')
HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')


def run_in_chunks(before: nn.Module, stage: nn.Module, images: Tensor) -> Tensor:
    """``stage(before(images))``, on a CPU a few images at a time where all at once would make large tensors.

    ``before`` is the stem, or the downsampler before the stage, and ``images`` may be maps of the stage before.
    """
    if suits_chunks(images):
        keep_freed_memory()
        if len(images) > 1:
            # Elements of the largest map of one image. A stem has a method for it; a downsampler halves the number of
            # elements, and MLPs multiply it by about four.
            is_stem = hasattr(before, 'most_elements')
            elements = before.most_elements(images.shape[2:]) if is_stem else 2 * images.numel() // len(images)
            chunk_size = max(IMAGE_CHUNK_BYTES // (elements * images.element_size()), 1)
            if len(images) > chunk_size and not has_hooks(before) and not has_hooks(stage):
                return torch.cat([stage(before(chunk)) for chunk in images.split(chunk_size)])
    return stage(before(images))


def chunk_tokens(forward: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Decorate the ``forward`` of a module that processes each token of (..., C) on its own.

    On a CPU a large map is taken some tokens at a time. In training the activations inside are then recomputed in the
    backward pass, with the same random numbers.
    """

    @functools.wraps(forward)
    def chunked_forward(module: nn.Module, x: Tensor) -> Tensor:
        if not suits_chunks(x):
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


def chunk_patches(attend: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Decorate a method that processes each patch with its T shifted copies on its own, (T, ..., C) to (..., C).

    On a CPU inference takes some patches at a time.
    """

    @functools.wraps(attend)
    def chunked_attend(module: nn.Module, copies: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not suits_chunks(copies) or has_hooks(module):
            return attend(module, copies)
        patches = copies.flatten(1, -2)
        patch_bytes = len(patches) * patches.shape[-1] * patches.element_size()
        chunks = patches.split(max(PATCH_CHUNK_BYTES // patch_bytes, 1), dim=1)
        return torch.cat([attend(module, chunk) for chunk in chunks]).unflatten(0, copies.shape[1:-1])

    return chunked_attend


def suits_chunks(x: Tensor) -> bool:
    """Whether chunks can be faster at all: on a CPU, outside of traces."""
    return x.device.type == 'cpu' and not is_tracing()


@functools.cache
def keep_freed_memory() -> None:
    """Once in a process, allocate and free 32 MB.

    glibc takes the size of a freed block as its new threshold: memory of tensors up to that size is from then on kept
    for the next ones instead of given back. That saves inference up to a fifth of its time.
    """
    torch.empty(MOST_BYTES_KEPT, dtype=torch.uint8, device='cpu')


class Linear(nn.Linear):
    """``nn.Linear``, by the faster library: (..., C) to (..., C').

    torch computes float32 linear layers with MKL and convolutions with oneDNN. On processors of other makers than Intel
    oneDNN is up to twice as fast with more threads than one, so there the layer is computed as a 1x1 convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.weight, self.bias)


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear``, by the faster library: oneDNN computes it as a 1x1 convolution of a channels-last map, uncopied."""
    if is_tracing() or not mkl_is_slow() or not suits_onednn(x, weight):
        return F.linear(x, weight, bias)
    tokens = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    out = F.conv2d(tokens, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


def suits_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether torch gives a 1x1 convolution of these tokens and weights to oneDNN."""
    plain = all(tensor.device.type == 'cpu' and tensor.dtype == torch.float32 for tensor in (x, weight))
    many = x.numel() > FEWEST_ELEMENTS and torch.get_num_threads() > 1
    return plain and many and type(weight) in (Tensor, nn.Parameter)


@functools.cache
def mkl_is_slow() -> bool:
    """Whether torch computes linear layers with MKL, and the processor is of another maker than Intel."""
    return torch.backends.mkl.is_available() and CPUINFO.is_file() and 'GenuineIntel' not in CPUINFO.read_text()


def has_hooks(layer: nn.Module) -> bool:
    """Whether a hook is registered for the layer, for one inside of it, or for all modules."""
    for_all_modules = any(getattr(nn.modules.module, f'_global{kind}') for kind in HOOKS)
    return for_all_modules or any(map(has_own_hooks, layer.modules()))


def has_own_hooks(layer: nn.Module) -> bool:
    """Whether a hook is registered for this very layer."""
    return any(getattr(layer, kind) for kind in HOOKS)


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer is a linear layer or convolution without hooks, and its weights are ordinary tensors."""
    plain = type(layer) in (Linear, nn.Linear, nn.Conv2d) and 'forward' not in vars(layer) and not has_own_hooks(layer)
    return plain and (is_tracing() or type(layer.weight) in (Tensor, nn.Parameter))
