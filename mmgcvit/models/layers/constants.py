"""A cache of constant tensors that depend on sizes and device alone."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .tracing import is_tracing

# Detection has new sizes in nearly every image: the constants unused for longest are dropped.
MOST_KEPT = 512


def constant(make: Callable[..., Tensor], *sizes: Any, like: Tensor) -> Tensor:
    """``make(*sizes, device)``, on the device of ``like``, computed once and cached.

    Not cached in traces, where sizes may be symbols, and not for tensor subclasses (fake or distributed tensors), whose
    mode the constant has to be made under.

    Args:
        make: A function of hashable sizes and a device that has no other inputs.
        sizes: Its arguments.
        like: The tensor that the constant is to be used with.
    """
    if is_tracing() or type(like) not in (Tensor, nn.Parameter):
        return make(*sizes, like.device)
    return kept(make, *sizes, like.device)


@functools.lru_cache(MOST_KEPT)
def kept(make: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """``make(*arguments)``, cached."""
    with torch.inference_mode(False):  # training could not use a tensor made in inference mode
        return make(*arguments)
