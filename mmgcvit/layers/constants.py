"""Constant tensors made from sizes alone: kept from one call to the next, on each device."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .tracing import is_tracing

# Detection meets new sizes at nearly every image: constants not used for long make room.
MOST_KEPT = 512


def constant(make: Callable[..., Tensor], *sizes: Any, like: Tensor) -> Tensor:
    """``make(*sizes, device)``, on the device of ``like``; made once and kept.

    Traces hold the computation instead of its result, since sizes may be symbols there; and what stands for a tensor
    (of a fake mode, or distributed) meets a constant made under the same mode.

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
    """What ``make`` returns."""
    with torch.inference_mode(False):  # or training could not use what inference has made
        return make(*arguments)
