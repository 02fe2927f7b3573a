"""Swin without shifting at GC ViT-T's sizes, with its stem. Paper: top-1 82.2 (table 5, row 3)."""

_base_ = '_base_/gcvit_t_in1k.py'

model = dict(backbone=dict(type='mmgcvit.SwinWithGCViTStem'))
