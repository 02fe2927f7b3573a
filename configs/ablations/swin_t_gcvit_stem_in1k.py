"""Swin without shifting at GC ViT-T's sizes, with its stem. Paper: top-1 82.2 (table 5, row 3)."""

_base_ = '../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.SwinWithGCViTStem'))
