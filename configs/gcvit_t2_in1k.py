"""GC ViT-Tiny2, ImageNet-1K, 310 epochs at 224 px, batch 4096. Paper: top-1 83.7 (table 1)."""

_base_ = 'gcvit_xt_in1k.py'

model = dict(backbone=dict(arch='tiny2'))
