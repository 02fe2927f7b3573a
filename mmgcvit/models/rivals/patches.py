"""Swin's patch embedding and patch merging in the places of GC ViT's stem and downsampler (arXiv 2103.14030, 3.1).

Legend: B batch, H x W image or feature map, C channels.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import LayerNorm, channels_last, divide_up, linear, pad_to_windows

PATCH = 4
MERGED = 2


class PatchEmbedding(nn.Module):
    """A vector for each patch of 4x4 px, normalised: (B, in_channels, H, W) to (B, ceil(H/4), ceil(W/4), C).

    Args:
        in_channels: Channels of the images.
        embed_dims: C.
    """

    stride = PATCH

    def __init__(self, in_channels: int, embed_dims: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dims, PATCH, stride=PATCH)
        self.norm = LayerNorm(embed_dims)

    def most_elements(self, size: tuple[int, int]) -> int:
        """Elements of the largest map inside, the output, for one image of ``size`` = (H, W)."""
        return self.proj.out_channels * divide_up(size[0], PATCH) * divide_up(size[1], PATCH)

    def forward(self, images: Tensor) -> Tensor:
        below, right = (-side % PATCH for side in images.shape[2:])
        return self.norm(channels_last(self.proj(F.pad(images, (0, right, 0, below)))))


class PatchMerging(nn.Module):
    """Join 2x2 tokens to one: (B, H, W, C) to (B, ceil(H/2), ceil(W/2), C_out).

    Args:
        embed_dims: C.
        out_dims: C_out.
    """

    def __init__(self, embed_dims: int, out_dims: int) -> None:
        super().__init__()
        self.norm = LayerNorm(MERGED**2 * embed_dims)
        self.reduction = nn.Linear(MERGED**2 * embed_dims, out_dims, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(self.reduction, self.norm(merge(pad_to_windows(x, (MERGED, MERGED)))))


def merge(x: Tensor) -> Tensor:
    """Tokens of 2x2, the lower before the one on the right, side by side: (B, H, W, C) to (B, H/2, W/2, 4*C)."""
    grid = x.unflatten(2, (-1, MERGED)).unflatten(1, (-1, MERGED))  # (B, H/2, 2, W/2, 2, C)
    return grid.permute(0, 1, 3, 4, 2, 5).flatten(3)
