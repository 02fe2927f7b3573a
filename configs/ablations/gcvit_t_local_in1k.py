"""GC ViT-T without global attention: all blocks local. Paper: top-1 82.6 (table 5, row 4)."""

_base_ = '_base_/gcvit_t_in1k.py'

model = dict(backbone=dict(type='mmgcvit.GCViTLocal'))
