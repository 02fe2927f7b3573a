"""Variants of the downsampler, in the stem and between stages (paper, table 8 and section 2).

Legend: B batch, H x W feature map, C channels.
"""

from torch import Tensor, nn

from ...registry import MODELS
from ..gcvit import GCViT
from ..gcvit.convs import Stem
from ..layers.blocks import LayerNorm
from ..layers.tracing import channels_first, channels_last
from .swin import PatchMerging


class ConvPoolDownsampler(nn.Module):
    """Table 8's "conv, max pool": a pair of layers, without Fused-MBConv.

    The paper does not say which: here a 3x3 convolution without bias and 3x3 max pooling of stride 2, between the
    norms of GC ViT's downsampler. (B, H, W, C) to (B, ceil(H/2), ceil(W/2), C_out).
    """

    def __init__(self, embed_dims: int, out_dims: int) -> None:
        super().__init__()
        self.norm_in = LayerNorm(embed_dims)
        self.reduction = nn.Conv2d(embed_dims, out_dims, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.norm_out = LayerNorm(out_dims)

    def forward(self, x: Tensor) -> Tensor:
        x = channels_first(self.norm_in(x))
        return self.norm_out(channels_last(self.pool(self.reduction(x))))


class ConvPoolStem(Stem):
    downsampler_type = ConvPoolDownsampler


class PatchMergingStem(Stem):
    downsampler_type = PatchMerging


@MODELS.register_module()
class GCViTConvPool(GCViT):
    """GC ViT with a convolution and max pooling as downsampler (table 8, row 1)."""

    stem_type = ConvPoolStem
    downsampler_type = ConvPoolDownsampler


@MODELS.register_module()
class GCViTPatchMerging(GCViT):
    """GC ViT with Swin's patch merging as downsampler (table 8, row 2)."""

    stem_type = PatchMergingStem
    downsampler_type = PatchMerging
