"""Bicubic resizing as two small matrices, one for rows and one for columns.

Equal to ``F.interpolate(mode='bicubic', align_corners=False)`` to rounding. Unlike it, the backward pass is
deterministic on CUDA, and exported graphs hold products instead of a Resize.
"""

import torch
from torch import Tensor

from .tracing import constant

# The parameter of Keys' cubic kernel, as in torch and OpenCV.
A = -0.75


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images (bicubic, corners not aligned, no antialiasing): (..., H, W) to (..., h, w) with ``size`` = (h, w).

    Computed in float32 at least, whatever autocast says; in the dtype of ``x``. On GPUs with TF32 allowed, as
    ``TF32Hook`` does, the products round their inputs to 10 bits, as those of linear layers do.
    """
    if x.is_meta:  # nothing is computed there, and no products are counted: papers count none for resizing
        return x.new_empty(*x.shape[:-2], *size)
    height, width = x.shape[-2:]
    precise = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        rows = constant(bicubic_matrix, height, size[0], like=x).to(precise)
        columns = constant(bicubic_matrix, width, size[1], like=x).to(precise)
        # One batch dimension: torch.matmul would merge several with rows, whose number is symbolic under torch.export.
        images = x.to(precise).flatten(0, -3)
        batch = images.shape[0]
        resized = rows.expand(batch, -1, -1) @ images @ columns.transpose(0, 1).expand(batch, -1, -1)
        return resized.unflatten(0, x.shape[:-2]).to(x.dtype)


def bicubic_matrix(source: int, target: int, device: torch.device) -> Tensor:
    """The weights of ``source`` pixels in each of ``target`` pixels: (target, source), four to a target pixel; float64.

    Pixels outside of the image count as the nearest one inside (Keys, 1981).
    """
    dtype = torch.float32 if device.type == 'mps' else torch.float64
    centres = (torch.arange(target, device=device, dtype=dtype) + 0.5) * (source / target) - 0.5
    left = centres.floor()
    taps = torch.arange(-1, 3, device=device, dtype=dtype)
    weights = cubic((centres - left)[:, None] - taps)
    pixels = (left[:, None] + taps).clamp(0, source - 1)
    chosen = pixels[:, :, None] == torch.arange(source, device=device, dtype=dtype)
    return (chosen * weights[:, :, None]).sum(1)


def cubic(distance: Tensor) -> Tensor:
    """Keys' cubic kernel at a distance of at most 2 pixels."""
    x = distance.abs()
    near = ((A + 2) * x - (A + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * A - 4 * A
    return torch.where(x <= 1, near, far)
