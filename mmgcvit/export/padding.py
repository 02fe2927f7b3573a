"""Sizes of images that a graph is not bound to."""

import torch.nn.functional as F
from torch import Tensor
from torch.onnx.operators import shape_as_tensor

from ..models.layers.windows import round_up


def size_of(images: Tensor) -> Tensor:
    """Height and width of images (B, C, H, W), (2,), int64: in a trace, of those that the graph will be given."""
    return shape_as_tensor(images)[-2:].to(images.device)


def padded(images: Tensor, divisor: int) -> Tensor:
    """Images (B, C, H, W) with zeros at the right and at the bottom, so that ``divisor`` divides both sides."""
    if divisor <= 1:
        return images
    below, right = (round_up(side, divisor) - side for side in images.shape[-2:])
    return F.pad(images, (0, right, 0, below))
