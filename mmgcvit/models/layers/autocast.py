"""Cast tensors as autocast would, but once instead of in each layer."""

import torch
from torch import Tensor


def cast_for_autocast(x: Tensor) -> Tensor:
    """Cast a tensor to the dtype in which autocast computes linear layers.

    Autocast casts the input of each layer on its own. To cast once, before a step that copies the
    map or feeds several layers, makes these copies half as large. Autocast leaves float64 as it is.
    """
    device_type = x.device.type
    if x.dtype == torch.float64 or device_type == 'meta':  # the meta device has no autocast
        return x
    if hasattr(torch, 'get_autocast_dtype'):
        is_enabled = torch.is_autocast_enabled(device_type)
        dtype = torch.get_autocast_dtype(device_type)
    elif device_type == 'cpu':  # torch 2.1 to 2.3
        is_enabled = torch.is_autocast_cpu_enabled()
        dtype = torch.get_autocast_cpu_dtype()
    else:
        is_enabled = torch.is_autocast_enabled()
        dtype = torch.get_autocast_gpu_dtype()
    return x.to(dtype) if is_enabled else x
