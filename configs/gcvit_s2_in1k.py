"""GC ViT-Small2, ImageNet-1K, 310 epochs at 224 px, batch 1024. Paper: top-1 84.8 (table 1)."""

_base_ = 'gcvit_s_in1k.py'

model = dict(backbone=dict(arch='small2'))
