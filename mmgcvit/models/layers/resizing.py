"""Resize images bicubically by two matrix products, one for rows and one for columns.

The result equals ``F.interpolate(mode='bicubic', align_corners=False)`` up to rounding. But the
backward pass is deterministic on CUDA, and exported graphs contain matrix products instead of
ONNX's Resize operator.
"""

import functools
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from .arguments import Size
from .tracing import is_tracing

A = -0.75  # the parameter a of Keys' cubic convolution kernel (1981), as in torch and OpenCV


def resize(x: Tensor, size: Size) -> Tensor:
    """Resize images (align_corners=False, no antialiasing): (..., C, H, W) to (..., C, h, w) with
    ``size`` = (h, w).

    Images of this size are returned as they are, except in a traced graph, which must work for all
    sizes. Compute in float32 or float64, also under autocast, and return the dtype of ``x``. If
    TF32 is allowed (as in a run of the engine), GPUs round the inputs of float32 products to 10
    bits, as they do in linear layers.
    """
    is_traced = is_tracing()
    if not is_traced and x.shape[-2:] == size:
        return x
    # A trace has sizes without a value. Subclasses such as fake tensors need matrices of their own
    # kind.
    is_cached = not is_traced and type(x) in (Tensor, nn.Parameter)
    make_matrix = make_cached_matrix if is_cached else make_bicubic_matrix
    precise = torch.promote_types(x.dtype, torch.float32)
    # Flatten the batch dimensions. torch.matmul would reshape them, and torch.export has symbolic
    # sizes.
    images = x.to(precise).flatten(0, -3)  # (N, H, W)
    num_images, height, width = images.shape
    new_height, new_width = size
    rows = make_matrix(height, new_height, x.device).to(precise)  # (h, H)
    columns = make_matrix(width, new_width, x.device).to(precise)  # (w, W)
    rows = rows.expand(num_images, -1, -1)
    columns = columns.expand(num_images, -1, -1)
    with nullcontext() if x.device.type == 'meta' else torch.autocast(x.device.type, enabled=False):
        resized = rows @ images @ columns.transpose(1, 2)
    return resized.unflatten(0, x.shape[:-2]).to(x.dtype)


def make_bicubic_matrix(source: int, target: int, device: torch.device) -> Tensor:
    """Return a matrix (target, source) that resizes a column of pixels; in float64, or float32 on
    MPS.

    Each row has the weights of an output pixel's four neighbours. The weight of a neighbour outside
    of the image is added to that of the nearest pixel inside.
    """
    dtype = torch.float32 if device.type == 'mps' else torch.float64
    # The centres of the output pixels, in pixels of the source.
    centres = (torch.arange(target, device=device, dtype=dtype) + 0.5) * (source / target) - 0.5
    left = centres.floor()
    taps = torch.arange(-1, 3, device=device, dtype=dtype)  # the four neighbours, from the left
    x = ((centres - left).unsqueeze(1) - taps).abs()  # (target, 4), their distances
    near = ((A + 2) * x - (A + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * A - 4 * A
    weights = torch.where(x <= 1, near, far)  # Keys' cubic kernel
    pixels = (left.unsqueeze(1) + taps).clamp(0, source - 1)
    columns = torch.arange(source, device=device, dtype=dtype)
    is_tap = pixels.unsqueeze(2) == columns  # (target, 4, source)
    return (is_tap * weights.unsqueeze(2)).sum(1)


@functools.lru_cache(512)  # detection sees many image sizes
@torch.inference_mode(False)  # else training could not reuse a matrix
def make_cached_matrix(source: int, target: int, device: torch.device) -> Tensor:
    """Return :func:`make_bicubic_matrix` of these arguments, built once."""
    return make_bicubic_matrix(source, target, device)
