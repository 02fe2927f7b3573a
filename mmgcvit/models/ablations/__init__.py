"""Ablation variants of GC ViT and LSA, those of the papers' tables.

Each variant replaces one part of its paper's network. docs/ablations.md lists them by table. The configs in
configs/ablations import this folder through ``custom_imports``; nothing else in the package imports it.
"""
# ruff: noqa: F401

from .gcvit_variants import (
    GCViTConvPool,
    GCViTGlobalKeyValue,
    GCViTGlobalValue,
    GCViTLocal,
    GCViTPatchMerging,
    SwinWithGCViTStem,
    SwinWithGlobalQuery,
    SwinWithoutShifting,
)
from .lsa_first_block import LSAWithCvTBlock, LSAWithSwinBlock
