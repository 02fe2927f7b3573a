"""Large batches and maps in chunks on a CPU: put around a network's parts from outside, as decorators.

glibc asks the system for each large tensor and soon gives it back, and the system hands out zeroed pages: to ask for a
tensor of 38 MB takes longer than the matrix product that fills it. Smaller ones are taken from what is there.

Without the decorators networks compute the same, except that drop path and dropout draw their random numbers for all
images of a layer before those of the next layer, not chunk by chunk.
"""

import functools
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .tracing import is_tracing

# Of the largest tensor in a chunk of images: 4 to 16 MB are equally fast in inference, 12 to 24 in training.
IMAGE_CHUNK_BYTES = 16 << 20
# Of the largest tensor in a chunk of tokens, where even one image has more than that: 2 to 8 MB are equally fast.
TOKEN_CHUNK_BYTES = 4 << 20
# Of the copies in a chunk of patches: 4 MB stay in the cache. That takes 0.5 to 0.6 of the time of all at once where
# these are many, and 1.3 to 1.5 where they fit anyway.
PATCH_CHUNK_BYTES = 4 << 20
# glibc's limit of 32 MB, less what it adds to a tensor.
MOST_BYTES_KEPT = (32 << 20) - (64 << 10)

HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')

Level = tuple[Callable, Callable]


def images_in_chunks(levels: Callable[[nn.Module], Iterable[Level]]) -> Callable[[nn.Module], Iterable[Level]]:
    """Decorate a backbone's method that gives its levels, (what comes before a stage, the stage).

    On a CPU each level then takes a few images at a time: the first of the pair gives its results chunk by chunk, and
    the second joins what it makes of them.
    """

    @functools.wraps(levels)
    def chunked_levels(backbone: nn.Module) -> list[Level]:
        if is_tracing():
            return list(levels(backbone))
        return [
            (functools.partial(image_chunks, before, stage), functools.partial(joined, stage))
            for before, stage in levels(backbone)
        ]

    return chunked_levels


def image_chunks(before: nn.Module, stage: nn.Module, images: Tensor) -> Tensor | Iterator[Tensor]:
    """``before(images)``, or where a level is too large for a CPU an iterator over chunks of it."""
    if not suit_chunks(images):
        return before(images)
    let_memory_be_kept()
    if len(images) < 2:
        return before(images)
    chunk_size = max(IMAGE_CHUNK_BYTES // (largest_map(before, images) * images.element_size()), 1)
    if len(images) <= chunk_size or has_hooks(before) or has_hooks(stage):
        return before(images)
    return (before(chunk) for chunk in images.split(chunk_size))


def joined(stage: nn.Module, x: Tensor | Iterator[Tensor]) -> Tensor:
    """``stage(x)`` of a map, or of an iterator over chunks of it."""
    return torch.cat([stage(chunk) for chunk in x]) if isinstance(x, Iterator) else stage(x)


def largest_map(before: nn.Module, images: Tensor) -> int:
    """Elements of the largest feature map that one image has in a level.

    A stem tells; between stages maps have half as many elements, and four times as many in MLPs.
    """
    if hasattr(before, 'largest_map'):
        return before.largest_map(images.shape[2:])
    return 2 * images.numel() // len(images)


def tokens_in_chunks(forward: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Decorate the ``forward`` of a module that looks at one token (..., C) at a time.

    On a CPU a map that is too large is taken some tokens at a time. Training then keeps nothing of what is on the way:
    the backward pass makes it again, with the same random numbers.
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
    """Decorate a method that looks at one patch of shifted copies at a time, (T, ..., C) to (..., C).

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
    """Whether chunks can be faster at all: on a CPU, and not in a graph or a file."""
    return x.device.type == 'cpu' and not is_tracing()


@functools.cache
def let_memory_be_kept() -> None:
    """Once in a process, ask the system for 32 MB and give them back.

    From the size of what it gives back glibc learns what to keep, and how much of it: what it has got for tensors of up
    to that size it then keeps for the next ones, which saves inference up to a fifth of its time.
    """
    torch.empty(MOST_BYTES_KEPT, dtype=torch.uint8, device='cpu')


def has_hooks(layer: nn.Module) -> bool:
    """Whether somebody looks at what passes through a layer, one inside of it, or any; who is to see it whole."""
    watched = any(getattr(nn.modules.module, f'_global{kind}') for kind in HOOKS)
    return watched or any(map(has_own_hooks, layer.modules()))


def has_own_hooks(layer: nn.Module) -> bool:
    """Whether somebody looks at what passes through this very layer."""
    return any(getattr(layer, kind) for kind in HOOKS)
