"""Constant tensors made from sizes alone: kept from one call to the next, on each device."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .tracing import is_tracing

# Detection meets new sizes at nearly every image: the oldest constants make room.
MOST_KEPT = 512
KEPT: dict[tuple, Tensor] = {}


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
    key = (make, *sizes, like.device)
    if key not in KEPT:
        with torch.inference_mode(False):  # or training could not use what inference has made
            made = make(*sizes, like.device)
        if len(KEPT) >= MOST_KEPT:
            KEPT.pop(next(iter(KEPT)), None)
        KEPT[key] = made
    return KEPT[key]
