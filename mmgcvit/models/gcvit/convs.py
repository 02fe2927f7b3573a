"""Convolutional modules of GC ViT: FusedMBConv, and the downsampler and stem that use it (paper,
section 2).

Shapes: B batch, H x W feature map, C = ``embed_dims`` channels. SqueezeExcite and FusedMBConv take
    NCHW maps. Downsampler and stem return NHWC maps.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..layers.autocast import cast_for_autocast
from ..layers.blocks import LayerNorm
from ..layers.layouts import nchw_to_nhwc, nhwc_to_nchw
from .archs import SQUEEZE_RATIO, STEM_STRIDE
from .cuda_convs import DepthwiseConv2d, PointwiseConv2d


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (arXiv 1709.01507): scale channels by a function of the channels'
    means.
    """

    def __init__(self, embed_dims: int):
        super().__init__()
        self.squeeze = nn.Linear(embed_dims, embed_dims // SQUEEZE_RATIO, bias=False)
        self.act = nn.GELU()
        self.excite = nn.Linear(embed_dims // SQUEEZE_RATIO, embed_dims, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3))
        weights = self.excite(self.act(self.squeeze(means))).sigmoid()
        return x * weights[:, :, None, None]


class FusedMBConv(nn.Module):
    """The modified Fused-MBConv of the paper (equation 1) with its residual connection: (B, C, H,
    W) to the same.

    x + Conv1x1(SE(GELU(DepthwiseConv3x3(x)))); the convolutions have no bias. Both are nn.Conv2d,
    except that cuda_convs.py chooses their kernels on GPUs.
    """

    def __init__(self, embed_dims: int):
        super().__init__()
        self.depthwise = DepthwiseConv2d(
            embed_dims, embed_dims, 3, padding=1, groups=embed_dims, bias=False
        )
        self.act = nn.GELU()
        self.squeeze_excite = SqueezeExcite(embed_dims)
        self.pointwise = PointwiseConv2d(embed_dims, embed_dims, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pointwise(self.squeeze_excite(self.act(self.depthwise(x))))


class Downsampler(nn.Module):
    """Halve the resolution of a map: (B, H, W, C) to (B, ceil(H/2), ceil(W/2), ``out_dims``).

    The layers are LayerNorm, FusedMBConv, 3x3 convolution with stride 2, LayerNorm. Section 2 of
    the paper has max pooling instead of that convolution; section 4.3 and the published weights
    have the strided convolution.
    """

    def __init__(self, embed_dims: int, out_dims: int):
        super().__init__()
        self.norm_in = LayerNorm(embed_dims)
        self.conv = FusedMBConv(embed_dims)
        self.reduction = nn.Conv2d(embed_dims, out_dims, 3, stride=2, padding=1, bias=False)
        self.norm_out = LayerNorm(out_dims)

    def forward(self, x: Tensor) -> Tensor:
        x = cast_for_autocast(nhwc_to_nchw(self.norm_in(x)))  # once here, not in each layer
        x = self.reduction(self.conv(x))
        return self.norm_out(nchw_to_nhwc(x))


class Stem(nn.Module):
    """Make the first feature map at 1/4 of the resolution: (B, in_channels, H, W) to (B, ceil(H/4),
    ceil(W/4), C).
    """

    stride = STEM_STRIDE

    def __init__(
        self,
        in_channels: int,
        embed_dims: int,
        downsampler_type: Callable[[int, int], nn.Module] = Downsampler,
    ):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dims, 3, stride=2, padding=1)
        self.downsample = downsampler_type(embed_dims, embed_dims)

    def forward(self, images: Tensor) -> Tensor:
        # Channels-last in, channels-last out: the NHWC view below is then contiguous for the norm.
        images = images.contiguous(memory_format=torch.channels_last)
        return self.downsample(nchw_to_nhwc(self.proj(images)))
