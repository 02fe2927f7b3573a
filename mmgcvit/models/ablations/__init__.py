"""Ablation variants of GC ViT and LSA, from the papers and our own.

Each network here is its paper's with one choice changed; docs/ablations.md lists them by table. Nothing else in the
package imports this folder: the configs under configs/ablations do, by ``custom_imports``.
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
