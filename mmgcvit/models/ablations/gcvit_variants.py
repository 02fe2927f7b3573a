"""Ablation variants of GC ViT, some with parts of Swin (arXiv 2103.14030). Tables are those of GC
ViT's paper.

Shapes: B batch, H x W image or feature map, C channels, nH heads, d = C/nH.
"""

from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from ...registry import MODELS
from ..gcvit import GCViT
from ..gcvit.attention import (
    AttentionType,
    GlobalWindowAttention,
    LocalWindowAttention,
    WindowAttention,
)
from ..gcvit.convs import Stem
from ..gcvit.global_query import GlobalQueryGenerator, GlobalQueryType
from ..gcvit.key_mappings import OWN
from ..layers.arguments import Window
from ..layers.attention import QKV, split_heads, split_qkv
from ..layers.blocks import LayerNorm
from ..layers.layouts import nchw_to_nhwc, nhwc_to_nchw
from ..layers.padding import pad_images
from ..layers.position import RelativePositionBias
from ..layers.windows import pad_to_windows

PATCH_SIZE = 4
# Networks with Swin's patch embedding have GC ViT's keys, but the key of the embedding's norm tells
# them from GC ViT.
SWIN_KEY_MAPPING = replace(
    OWN, name='mmgcvit with patch embedding', signature_key='stem.norm.weight'
)


class GlobalKeyValueAttention(WindowAttention):
    """Attention with local queries and global keys and values (table S.2, row 1).

    Keys and values are the output of the global query generator. The paper does not say whether to
    project them.
    """

    def __init__(self, embed_dims: int, num_heads: int, window_size: Window):
        super().__init__(num_heads, window_size)
        self.q = nn.Linear(embed_dims, embed_dims)
        self.position = RelativePositionBias(window_size, num_heads)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def project(self, windows: Tensor, q_global: Tensor) -> QKV:
        q = split_heads(self.q(windows), self.num_heads)
        k = v = q_global.unsqueeze(1).expand_as(q)
        return q, k, v


class GlobalValueAttention(WindowAttention):
    """Attention with local queries and keys and global values (table S.2, row 2)."""

    def __init__(self, embed_dims: int, num_heads: int, window_size: Window):
        super().__init__(num_heads, window_size)
        self.qk = nn.Linear(embed_dims, 2 * embed_dims)
        self.position = RelativePositionBias(window_size, num_heads)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def project(self, windows: Tensor, q_global: Tensor) -> QKV:
        q, k = split_qkv(self.qk(windows), self.num_heads, chunks=2)
        return q, k, q_global.unsqueeze(1).expand_as(q)


class ConvPoolDownsampler(nn.Module):
    """The downsampler "conv, max pool" of table 8: (B, H, W, C) to (B, ceil(H/2), ceil(W/2),
    C_out).

    The paper does not specify the layers. This class has the two norms of GC ViT's downsampler, and
    between them a 3x3 convolution without bias and 3x3 max pooling with stride 2.
    """

    def __init__(self, embed_dims: int, out_dims: int):
        super().__init__()
        self.norm_in = LayerNorm(embed_dims)
        self.reduction = nn.Conv2d(embed_dims, out_dims, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.norm_out = LayerNorm(out_dims)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.reduction(nhwc_to_nchw(self.norm_in(x))))
        return self.norm_out(nchw_to_nhwc(x))


class PatchEmbedding(nn.Module):
    """Swin's stem: embed and normalise patches of 4x4 px, (B, in_channels, H, W) to (B, ceil(H/4),
    ceil(W/4), C).
    """

    stride = PATCH_SIZE

    def __init__(self, in_channels: int, embed_dims: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dims, PATCH_SIZE, stride=PATCH_SIZE)
        self.norm = LayerNorm(embed_dims)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(nchw_to_nhwc(self.proj(pad_images(images, PATCH_SIZE))))


class PatchMerging(nn.Module):
    """Swin's downsampler: merge 2x2 tokens, (B, H, W, C) to (B, ceil(H/2), ceil(W/2), C_out).

    As in Swin, the order of the tokens is top left, bottom left, top right, bottom right.
    """

    def __init__(self, embed_dims: int, out_dims: int):
        super().__init__()
        self.norm = LayerNorm(4 * embed_dims)
        self.reduction = nn.Linear(4 * embed_dims, out_dims, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = pad_to_windows(x, (2, 2))
        grid = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (B, H/2, 2, W/2, 2, C)
        tokens = grid.permute(0, 1, 3, 4, 2, 5).flatten(3)  # (B, H/2, W/2, 4*C)
        return self.reduction(self.norm(tokens))


@MODELS.register_module()
class SwinWithoutShifting(GCViT):
    """Swin Transformer whose windows are never shifted (table 5, rows 1 and 2)."""

    key_mappings = (SWIN_KEY_MAPPING,)
    stem_type = PatchEmbedding
    downsampler_type = PatchMerging
    attention_types: tuple[AttentionType, ...] = (LocalWindowAttention,)
    global_query_type: GlobalQueryType = nn.Identity  # local attention ignores the query


@MODELS.register_module()
class SwinWithGCViTStem(GCViT):
    """Swin without shifted windows, with GC ViT's stem (table 5, row 3)."""

    downsampler_type = PatchMerging
    attention_types = (LocalWindowAttention,)
    global_query_type = nn.Identity


@MODELS.register_module()
class GCViTLocal(GCViT):
    """GC ViT without global attention: all blocks are local (table 5, row 4)."""

    attention_types = (LocalWindowAttention,)
    global_query_type = nn.Identity


@MODELS.register_module()
class SwinWithGlobalQuery(SwinWithoutShifting):
    """Swin with GC ViT's global attention instead of shifted windows in every second block (table
    S.3).
    """

    attention_types = (LocalWindowAttention, GlobalWindowAttention)
    global_query_type = GlobalQueryGenerator


@MODELS.register_module()
class GCViTGlobalKeyValue(GCViT):
    """GC ViT with global keys and values and local queries in every second block (table S.2, row
    1).
    """

    attention_types = (LocalWindowAttention, GlobalKeyValueAttention)


@MODELS.register_module()
class GCViTGlobalValue(GCViT):
    """GC ViT with global values and local queries and keys in every second block (table S.2, row
    2).
    """

    attention_types = (LocalWindowAttention, GlobalValueAttention)


@MODELS.register_module()
class GCViTConvPool(GCViT):
    """GC ViT with a convolution and max pooling as downsampler (table 8, row 1)."""

    stem_type = staticmethod(partial(Stem, downsampler_type=ConvPoolDownsampler))
    downsampler_type = ConvPoolDownsampler


@MODELS.register_module()
class GCViTPatchMerging(GCViT):
    """GC ViT with Swin's patch merging as downsampler (table 8, row 2)."""

    stem_type = staticmethod(partial(Stem, downsampler_type=PatchMerging))
    downsampler_type = PatchMerging
