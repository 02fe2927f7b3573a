"""Pooling to a fixed size as two small matrices: ONNX has no operator that does it for maps of any size."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from ..models.layers.windows import divide_up


class TraceablePooling(nn.Module):
    """What ``nn.AdaptiveAvgPool2d`` computes, in a graph for maps of any size.

    Args:
        output_size: Height and width.
    """

    def __init__(self, output_size: tuple[int, int]) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, h, w)."""
        rows, columns = (averages(side, bins, x) for side, bins in zip(x.shape[2:], self.output_size, strict=True))
        return rows @ x @ columns.transpose(0, 1)


def averages(side: int, bins: int, like: Tensor) -> Tensor:
    """The weights of ``side`` pixels in each of ``bins`` averages, (bins, side).

    Bin i is from pixel ``i * side / bins``, rounded down, to ``(i + 1) * side / bins``, rounded up.
    """
    pixels = torch.arange(side, device=like.device)
    first = torch.arange(bins, device=like.device) * side
    begins, ends = torch.div(first, bins, rounding_mode='floor'), divide_up(first + side, bins)
    inside = (pixels >= begins[:, None]) & (pixels < ends[:, None])
    return inside.to(like.dtype) / (ends - begins)[:, None].to(like.dtype)


def with_traceable_pooling(module: nn.Module) -> nn.Module:
    """A copy of a module whose adaptive average pooling can be exported."""
    module = deepcopy(module)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.AdaptiveAvgPool2d:
                size = child.output_size
                setattr(parent, name, TraceablePooling(size if isinstance(size, tuple) else (size, size)))
    return module
