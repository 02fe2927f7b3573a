"""Ablation variants: GC ViT with other attention, downsamplers or stems, and Swin (arXiv 2103.14030) with its parts.

Table 5 adds one part of GC ViT per row: Swin-T without shifting and, by its ``arch`` alone, the same with GC ViT-T's
sizes, :class:`SwinWithoutShifting`; with its stem, :class:`SwinWithGCViTStem`; with its downsampler,
:class:`GCViTLocal`; with global attention it is GC ViT. Table 8 has other downsamplers, table S.2 global keys or
values, table S.3 Swin with global attention instead of shifted windows, :class:`SwinWithGlobalQuery`. In no table:
:class:`Swin` itself, :class:`SwinWithGlobalKeyValue`, and GC ViT with shifted windows, :class:`GCViTShifted`.

Shapes: B batch, H x W image or feature map, h x w window, nW windows of one image, N = h*w tokens of a window, C
channels, nH heads, d = C/nH.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..gcvit import GCViT
from ..gcvit.attention import LocalWindowAttention, WindowAttention
from ..gcvit.convs import Stem
from ..gcvit.key_mappings import HERE
from ..gcvit.stage import Stage
from ..layers.arguments import Window
from ..layers.attention import split_heads
from ..layers.blocks import LayerNorm
from ..layers.cpu import Linear
from ..layers.tracing import nchw_to_nhwc, nhwc_to_nchw
from ..layers.windows import ceil_div, pad_to_windows, unpad, window_partition

PATCH = 4
# As in Swin: finite, so that a row of masked keys gives no nan; exp(-100) is 0 beside the weights of other keys.
MASKED = -100.0
# The names in weights of networks with Swin's patch embedding: GC ViT's of this package, known by that part's norm.
SWIN_STEM = replace(
    HERE, name='mmgcvit with patch embedding', signature_key='stem.norm.weight', network='SwinWithoutShifting'
)


class GlobalKeyValueAttention(WindowAttention):
    """Queries come from the window's tokens; keys and values both are the image's global tokens (table S.2, row 1).

    What the generator makes is the image's tokens in one window; as for the paper's query, no further weights apply to
    it (the paper does not say).
    """

    projected = 'q'

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (q,) = split_heads(self.q(windows), self.num_heads)
        return q, q_global, q_global


class GlobalValueAttention(WindowAttention):
    """Queries and keys come from the window's tokens; the values are the image's global tokens (table S.2, row 2)."""

    projected = 'qk'

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k = split_heads(self.qk(windows), self.num_heads, chunks=2)
        return q, k, q_global


class GlobalKeyValueStage(Stage):
    attention_types = (LocalWindowAttention, GlobalKeyValueAttention)


class GlobalValueStage(Stage):
    attention_types = (LocalWindowAttention, GlobalValueAttention)


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
        x = nhwc_to_nchw(self.norm_in(x))
        return self.norm_out(nchw_to_nhwc(self.pool(self.reduction(x))))


class PatchEmbedding(nn.Module):
    """A vector for each patch of 4x4 px, normalised: (B, in_channels, H, W) to (B, ceil(H/4), ceil(W/4), C)."""

    def __init__(self, in_channels: int, embed_dims: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dims, PATCH, stride=PATCH)
        self.norm = LayerNorm(embed_dims)

    def most_elements(self, size: tuple[int, int]) -> int:
        """Elements of the largest map inside, the output, for one image of ``size`` = (H, W)."""
        return self.proj.out_channels * ceil_div(size[0], PATCH) * ceil_div(size[1], PATCH)

    def forward(self, images: Tensor) -> Tensor:
        below, right = (-side % PATCH for side in images.shape[2:])
        return self.norm(nchw_to_nhwc(self.proj(F.pad(images, (0, right, 0, below)))))


class PatchMerging(nn.Module):
    """Join 2x2 tokens, the lower before the right one, to one: (B, H, W, C) to (B, ceil(H/2), ceil(W/2), C_out)."""

    def __init__(self, embed_dims: int, out_dims: int) -> None:
        super().__init__()
        self.norm = LayerNorm(4 * embed_dims)
        self.reduction = Linear(4 * embed_dims, out_dims, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        grid = pad_to_windows(x, (2, 2)).unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (B, H/2, 2, W/2, 2, C)
        return self.reduction(self.norm(grid.permute(0, 1, 3, 4, 2, 5).flatten(3)))


class NoGlobalQuery(nn.Module):
    """In the place of the global query generator: a query of no tokens, (B, H, W, C) to (B, nH, 0, d)."""

    def __init__(self, embed_dims: int, num_heads: int, window: Window, poolings: tuple[bool, ...]) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dims = embed_dims // num_heads

    def forward(self, x: Tensor) -> Tensor:
        return x.new_empty(len(x), self.num_heads, 0, self.head_dims)


class LocalStage(Stage):
    global_query_type = NoGlobalQuery
    attention_types = (LocalWindowAttention,)


class ShiftedWindowAttention(LocalWindowAttention):
    """Attention inside windows that are shifted by half of their size; what wraps around is masked.

    Along a side that one window covers nothing is shifted.
    """

    def forward(self, x: Tensor, q_global: Tensor) -> Tensor:
        """As :class:`WindowAttention`."""
        shifted = self.shifted(x)
        attended = super().forward(shifted, q_global)
        return unpad(attended.roll(self.shift(shifted.shape[1:3]), (1, 2)), x.shape[1:3])

    def attention_weights(self, x: Tensor, q_global: Tensor) -> Tensor:
        """As :class:`WindowAttention`, in the shifted windows."""
        return super().attention_weights(self.shifted(x), q_global)

    def shifted(self, x: Tensor) -> Tensor:
        """The padded map, moved up and to the left: (B, H, W, C) to (B, H', W', C)."""
        padded = pad_to_windows(x, self.window)
        dy, dx = self.shift(padded.shape[1:3])
        return padded.roll((-dy, -dx), (1, 2))

    def shift(self, size: tuple[int, int]) -> tuple[int, int]:
        """How far windows are shifted down and to the right, in tokens, in a padded map of ``size`` = (H, W)."""
        dy, dx = (side // 2 if length > side else 0 for length, side in zip(size, self.window, strict=True))
        return dy, dx

    def bias(self, v: Tensor, size: tuple[int, int]) -> Tensor:
        """Position bias and mask, (nW, nH, N, N)."""
        mask = (~self.allowed(size, v.device)).to(v.dtype) * MASKED
        return super().bias(v, size) + mask.unsqueeze(1)

    def allowed(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Which keys each query may attend to, those that were neighbours before the shift: bool, (nW, N, N)."""
        rows, columns = (
            torch.arange(length, device=device) >= length - step
            for length, step in zip(size, self.shift(size), strict=True)
        )
        regions = rows[:, None] * 2 + columns  # only the last windows hold tokens that wrapped around
        tokens = window_partition(regions[None, :, :, None], self.window)[0, :, :, 0]
        return tokens[:, :, None] == tokens[:, None, :]


class ShiftedStage(LocalStage):
    attention_types = (LocalWindowAttention, ShiftedWindowAttention)


class ConvPoolStem(Stem):
    downsampler_type = ConvPoolDownsampler


class PatchMergingStem(Stem):
    downsampler_type = PatchMerging


@MODELS.register_module()
class SwinWithoutShifting(GCViT):
    """Swin Transformer whose windows are never shifted (table 5, rows 1 and 2)."""

    key_mappings = (SWIN_STEM,)
    stem_type = PatchEmbedding
    stage_type = LocalStage
    downsampler_type = PatchMerging


@MODELS.register_module()
class Swin(SwinWithoutShifting):
    """Swin Transformer."""

    stage_type = ShiftedStage


@MODELS.register_module()
class SwinWithGCViTStem(GCViT):
    """Swin without shifting, with GC ViT's stem (table 5, row 3)."""

    stage_type = LocalStage
    downsampler_type = PatchMerging


@MODELS.register_module()
class GCViTLocal(GCViT):
    """GC ViT without global attention: all blocks are local (table 5, row 4)."""

    stage_type = LocalStage


@MODELS.register_module()
class SwinWithGlobalQuery(SwinWithoutShifting):
    """Swin without shifting, with GC ViT's global attention in every second block (table S.3)."""

    stage_type = GCViT.stage_type


@MODELS.register_module()
class SwinWithGlobalKeyValue(SwinWithoutShifting):
    """The same with global keys and values, and local queries (table S.2, row 1)."""

    stage_type = GlobalKeyValueStage


@MODELS.register_module()
class GCViTShifted(GCViT):
    """GC ViT with shifted windows in the place of global attention."""

    stage_type = ShiftedStage


@MODELS.register_module()
class GCViTGlobalKeyValue(GCViT):
    """GC ViT with global keys and values, and local queries (table S.2, row 1)."""

    stage_type = GlobalKeyValueStage


@MODELS.register_module()
class GCViTGlobalValue(GCViT):
    """GC ViT with global values, and local queries and keys (table S.2, row 2)."""

    stage_type = GlobalValueStage


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
