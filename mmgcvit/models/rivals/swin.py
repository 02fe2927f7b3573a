"""The way from Swin to GC ViT (paper, tables 5 and S.3).

Table 5, each row with one part more of GC ViT's: Swin-T without shifting and, by its ``arch`` alone, the same with
GC ViT-T's sizes, :class:`SwinWithoutShifting`; with its stem, :class:`SwinWithGCViTStem`; with its downsampler,
:class:`GCViTLocal`; with global attention it is GC ViT. Table S.3: Swin with global attention in the place of shifted
windows, :class:`SwinWithGlobalQuery`.
"""

from ...hosts.registry import MODELS
from ..gcvit import GCViT
from .layouts import SWIN_STEM
from .local import LocalStage
from .patches import PatchEmbedding, PatchMerging


@MODELS.register_module()
class SwinWithoutShifting(GCViT):
    """Swin Transformer whose windows are never shifted (table 5, rows 1 and 2)."""

    layouts = (SWIN_STEM,)
    stem_type = PatchEmbedding
    stage_type = LocalStage
    downsampler_type = PatchMerging


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
