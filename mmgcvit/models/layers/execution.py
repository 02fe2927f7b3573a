"""How torch runs the networks: whether it traces them, and in which dtype autocast computes."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def is_tracing() -> bool:
    """Return whether torch.compile, torch.export or torch.jit.trace traces the caller.

    A traced graph must not depend on the sizes of the example inputs.
    """
    # torch.compiler.is_compiling is new in torch 2.3.
    return torch.jit.is_tracing() or (hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling())


def get_autocast_dtype(device_type: str) -> torch.dtype | None:
    """Return the dtype in which autocast computes linear layers; None if autocast is off."""
    if not hasattr(torch, 'get_autocast_dtype'):  # before torch 2.4
        if device_type == 'cpu':
            return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else None
        return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else None
    # The meta device has no autocast.
    is_enabled = device_type != 'meta' and torch.is_autocast_enabled(device_type)
    return torch.get_autocast_dtype(device_type) if is_enabled else None


def disable_autocast(device_type: str) -> AbstractContextManager:
    """Return a context in which autocast is off. The meta device, which has no autocast, is allowed."""
    return nullcontext() if device_type == 'meta' else torch.autocast(device_type, enabled=False)


def cast_for_autocast(x: Tensor) -> Tensor:
    """Cast a tensor to the dtype in which autocast computes linear layers. Autocast leaves float64 as it is."""
    dtype = None if x.dtype == torch.float64 else get_autocast_dtype(x.device.type)
    return x.to(dtype or x.dtype)
