"""Resize images bicubically by two matrix products, one for rows and one for columns.

The result equals ``F.interpolate(mode='bicubic', align_corners=False)`` up to rounding. Unlike there, the backward
pass is deterministic on CUDA, and exported graphs contain matrix products instead of a Resize operator.
"""

import torch
from torch import Tensor

from .tracing import constant

# The parameter a of Keys' cubic convolution kernel (1981), as in torch and OpenCV.
A = -0.75


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images (align_corners=False, no antialiasing): (..., H, W) to (..., h, w) with ``size`` = (h, w).

    The computation is in float32 or float64, also under autocast; the result has the dtype of ``x``. If TF32 is
    allowed, as by ``TF32Hook``, GPUs round the inputs of both products to 10 bits, as they do in linear layers.
    """
    if x.is_meta:  # skip the products, since papers do not count the multiply-adds of resizing
        return x.new_empty(*x.shape[:-2], *size)
    height, width = x.shape[-2:]
    precise = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        rows = constant(make_bicubic_matrix, height, size[0], like=x).to(precise)
        columns = constant(make_bicubic_matrix, width, size[1], like=x).to(precise)
        # torch.matmul would fold several batch dimensions into rows, whose number is symbolic under torch.export.
        images = x.to(precise).flatten(0, -3)
        batch = images.shape[0]
        resized = rows.expand(batch, -1, -1) @ images @ columns.transpose(0, 1).expand(batch, -1, -1)
        return resized.unflatten(0, x.shape[:-2]).to(x.dtype)


def make_bicubic_matrix(source: int, target: int, device: torch.device) -> Tensor:
    """Return the interpolation matrix (target, source), in float64 except on MPS, with up to four weights a row (Keys).

    Pixels outside of the image take the value of the nearest one inside.
    """
    dtype = torch.float32 if device.type == 'mps' else torch.float64
    centres = (torch.arange(target, device=device, dtype=dtype) + 0.5) * (source / target) - 0.5
    left = centres.floor()
    taps = torch.arange(-1, 3, device=device, dtype=dtype)
    weights = compute_cubic_kernel((centres - left)[:, None] - taps)
    pixels = (left[:, None] + taps).clamp(0, source - 1)
    is_tap = pixels[:, :, None] == torch.arange(source, device=device, dtype=dtype)
    return (is_tap * weights[:, :, None]).sum(1)


def compute_cubic_kernel(distance: Tensor) -> Tensor:
    """Return Keys' cubic kernel at distances of at most 2 pixels."""
    x = distance.abs()
    near = ((A + 2) * x - (A + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * A - 4 * A
    return torch.where(x <= 1, near, far)
