"""Variants of LSA that replace the local attention block, the first block of stage 0 (LSA's paper,
table 6).

The variants embed only the image itself, without shifted copies, so their published archs have
``shared_position=True``. An ``arch`` of one's own must have it too, and ``shifts`` other than None,
because an LSA without shifts has no local attention block. The values of ``shifts``, ``shift_mode``
and ``shared_conv`` have no effect.

Shapes: B batch, H x W feature map, nW windows of one image, N tokens of a window, C channels, nH
    heads, d = C/nH.
"""

from dataclasses import replace

from torch import Tensor, nn

from ...registry import MODELS
from ..layers.arguments import Window, require
from ..layers.attention import attend
from ..layers.blocks import LayerNorm
from ..layers.layouts import nchw_to_nhwc, nhwc_to_nchw
from ..layers.position import RelativePositionBias
from ..layers.windows import window_partition, window_reverse
from ..lsa import LSA, LSAArch
from ..lsa.attention import GroupedAttention
from ..lsa.shifted_patches import ShiftedPatchEmbedding
from ..lsa.stage import NORM_EPS, Block

ARCHS = {name: replace(arch, shared_position=True) for name, arch in LSA.archs.items()}


class UnshiftedStem(ShiftedPatchEmbedding):
    """LSA's stem without shifted copies: (B, in_channels, H, W) to (B, h, w, C).

    Raise a ValueError if the variant has no local attention block or a position embedding for each
    copy.
    """

    def __init__(self, in_channels: int, arch: LSAArch):
        require('shifts', arch.shifts, arch.shifts is not None, 'some: the first block has them')
        require(
            'shared_position',
            arch.shared_position,
            arch.shared_position,
            'True: the image has no copies with embeddings of their own',
        )
        super().__init__(in_channels, replace(arch, shifts=None))


class ConvolutionalTokenEmbedding(UnshiftedStem):
    """The token embedding of CvT: a convolution with overlapping patches and a LayerNorm (arXiv
    2103.15808, 3.1).
    """

    def __init__(self, in_channels: int, arch: LSAArch):
        super().__init__(in_channels, arch)
        self.token_norm = LayerNorm(arch.embed_dims[0], eps=NORM_EPS)

    def forward(self, images: Tensor) -> Tensor:
        return self.token_norm(super().forward(images))


class SwinAttention(GroupedAttention):
    """Self-attention in windows with a relative position bias: (B, H, W, C) to the same.

    The paper does not give the window size. The 32 x 32 tokens of CIFAR variants make 16 windows of
    the default.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, num_kv_heads: int, window_size: Window = (8, 8)
    ):
        super().__init__(embed_dims, num_heads, num_kv_heads)
        self.window_size = window_size
        self.position = RelativePositionBias(window_size, num_heads)

    def forward(self, x: Tensor) -> Tensor:
        windows = window_partition(x, self.window_size)
        q, k, v = self.project(windows, windows)
        attended = attend(q, k, v, self.position())
        return window_reverse(self.proj(attended), self.window_size, x.shape[1:3])


class ConvolutionalProjection(nn.Sequential):
    """CvT's layers before a linear projection, depthwise 3x3 convolution and batch norm: a map (B,
    H, W, C) to the tokens of one window, (B, 1, N, C).
    """

    def __init__(self, embed_dims: int, stride: int):
        conv = nn.Conv2d(
            embed_dims, embed_dims, 3, stride, padding=1, groups=embed_dims, bias=False
        )
        super().__init__(conv, nn.BatchNorm2d(embed_dims))

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(nhwc_to_nchw(x))
        return window_partition(nchw_to_nhwc(x), None)


class CvTAttention(GroupedAttention):
    """Self-attention over the whole map with convolutional projections (arXiv 2103.15808, 3.2): (B,
    H, W, C) to same.

    Keys and values share one convolution, since LSA has one linear layer for both. CvT has two
    convolutions.
    """

    def __init__(self, embed_dims: int, num_heads: int, num_kv_heads: int):
        super().__init__(embed_dims, num_heads, num_kv_heads)
        self.q_conv = ConvolutionalProjection(embed_dims, stride=1)
        self.kv_conv = ConvolutionalProjection(embed_dims, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(self.q_conv(x), self.kv_conv(x))
        return window_reverse(self.proj(attend(q, k, v)), None, x.shape[1:3])


@MODELS.register_module()
class LSAWithSwinBlock(LSA):
    """LSA with a Swin block, whose windows are not shifted, instead of the local attention block
    (table 6, I).
    """

    archs = ARCHS
    stem_type = UnshiftedStem
    first_block_type = Block
    first_attention_type = SwinAttention


@MODELS.register_module()
class LSAWithCvTBlock(LSA):
    """LSA with CvT's token embedding as the stem, and CvT's attention in the first block (table 6,
    II).
    """

    archs = ARCHS
    stem_type = ConvolutionalTokenEmbedding
    first_block_type = Block
    first_attention_type = CvTAttention
