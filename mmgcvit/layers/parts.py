"""Large batches and maps taken a part at a time on a CPU.

glibc asks the system for each large tensor and soon gives it back, and the system hands out zeroed pages: to ask for a
tensor of 38 MB takes longer than the matrix product that fills it. Smaller ones are taken from what is there.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .compiling import is_compiling, is_exporting

# Of the widest tensor on the way, in what is taken whole: 4 to 16 MB are equally fast in inference, 12 to 24 in
# training.
MOST_BYTES = 16 << 20
# The same in a part of the tokens, where even one image has more than that: 2 to 8 MB are equally fast.
BYTES_OF_TOKENS = 4 << 20
# glibc's limit of 32 MB, less what it adds to a tensor.
MOST_BYTES_KEPT = (32 << 20) - (64 << 10)


def images_in_parts(layers: Sequence[nn.Module], images: Tensor, numel: int) -> Tensor:
    """Apply layers that look at one image at a time, one after another, to as many images at once as are fast.

    Args:
        layers: The first takes (n, ...), the last gives (n, ...).
        images: (B, ...).
        numel: How many numbers one image has where it is widest on the way.
    """
    if not parts_are_faster(images):
        return in_turn(layers, images)
    let_memory_be_kept()
    at_once = max(MOST_BYTES // (numel * images.element_size()), 1)
    if len(images) <= at_once or any(map(has_hooks, layers)):
        return in_turn(layers, images)
    return torch.cat([in_turn(layers, some) for some in images.split(at_once)])


def tokens_in_parts(layers: Sequence[nn.Module], x: Tensor, channels: int) -> Tensor:
    """Apply layers that look at one token at a time, one after another, to as many tokens at once as are fast.

    Where these are not all, training keeps nothing of what is on the way: the backward pass makes it again.

    Args:
        layers: The first takes (n, C), the last gives the same.
        x: (..., C).
        channels: How many numbers a token has where it is widest on the way.
    """
    size = channels * x.element_size()
    if not parts_are_faster(x) or x.numel() // x.shape[-1] * size <= MOST_BYTES or any(map(has_hooks, layers)):
        return in_turn(layers, x)
    call = functools.partial(in_turn, layers)
    if torch.is_grad_enabled():
        call = functools.partial(checkpoint, call, use_reentrant=False, preserve_rng_state=False)
    tokens = x.reshape(-1, x.shape[-1])
    return torch.cat([call(some) for some in tokens.split(max(BYTES_OF_TOKENS // size, 1))]).view(x.shape)


@functools.cache
def let_memory_be_kept() -> None:
    """Once in a process, ask the system for 32 MB and give them back.

    From the size of what it gives back glibc learns what to keep, and how much of it: what it has got for tensors of up
    to that size it then keeps for the next ones, which saves inference up to a fifth of its time.
    """
    torch.empty(MOST_BYTES_KEPT, dtype=torch.uint8, device='cpu')


def in_turn(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def parts_are_faster(x: Tensor) -> bool:
    """Whether parts can be faster at all: on a CPU, where the caller is not being written into a graph."""
    return not is_compiling() and not is_exporting() and x.device.type == 'cpu'


def has_hooks(layer: nn.Module) -> bool:
    """Whether somebody looks at what passes through a layer, one inside of it, or any; who is to see it whole."""
    kinds = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')
    own = any(getattr(module, kind) for module in layer.modules() for kind in kinds)
    return own or any(getattr(nn.modules.module, f'_global{kind}') for kind in kinds)
