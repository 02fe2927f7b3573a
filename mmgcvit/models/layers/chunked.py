"""Large batches and maps in chunks, which is faster on a CPU: images in a level, tokens in an MLP, patches in LSA.

glibc gets the memory of a large tensor from the system and soon gives it back, and the system zeroes each page that it
hands out: allocating 38 MB takes longer than the matrix product that fills them. Small tensors reuse memory.

Results are the same without chunks, except for the order in which drop path and dropout draw random numbers.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .hooks import has_hooks
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


def images_in_chunks(before: nn.Module, stage: nn.Module, images: Tensor) -> Tensor:
    """``stage(before(images))``, on a CPU a few images at a time where all at once would make large tensors.

    Args:
        before: The stem, or the downsampler before the stage.
        stage: The stage.
        images: Images, or the maps of the stage before.
    """
    if suit_chunks(images):
        let_memory_be_kept()
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
def let_memory_be_kept() -> None:
    """Once in a process, allocate and free 32 MB.

    glibc takes the size of a freed block as its new threshold: memory of tensors up to that size is from then on kept
    for the next ones instead of given back. That saves inference up to a fifth of its time.
    """
    torch.empty(MOST_BYTES_KEPT, dtype=torch.uint8, device='cpu')
