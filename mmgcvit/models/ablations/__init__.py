"""Ablation variants of GC ViT and LSA, from the papers and our own.

Each variant changes one choice of its paper's network; docs/ablations.md lists them by table. Nothing else in the
package imports this folder. The configs under configs/ablations import it through ``custom_imports``.
"""
# ruff: noqa: F401

from .gcvit_variants import (
    GCViTConvPool,
    GCViTGlobalKeyValue,
    GCViTGlobalValue,
    GCViTLocal,
    GCViTPatchMerging,
    GCViTShifted,
    Swin,
    SwinWithGCViTStem,
    SwinWithGlobalKeyValue,
    SwinWithGlobalQuery,
    SwinWithoutShifting,
)
from .lsa_first_block import LSAWithCvTBlock, LSAWithSwinBlock
