"""Ablation variants of GC ViT and LSA: what the papers' ablations, and some of ours, put in a part's place.

Each network here is its paper's with one choice changed; docs/ablations.md lists them by table. Nothing else in the
package imports this folder: the configs under configs/ablations do, by ``custom_imports``.
"""
# ruff: noqa: F401

from .attention import GCViTGlobalKeyValue, GCViTGlobalValue
from .downsamplers import GCViTConvPool, GCViTPatchMerging
from .lsa_first_block import LSAWithCvTBlock, LSAWithSwinBlock
from .swin import (
    GCViTLocal,
    GCViTShifted,
    Swin,
    SwinWithGCViTStem,
    SwinWithGlobalKeyValue,
    SwinWithGlobalQuery,
    SwinWithoutShifting,
)
