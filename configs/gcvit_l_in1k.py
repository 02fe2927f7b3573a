"""GC ViT-Large, ImageNet-1K, 310 epochs at 224 px, batch 1024. Paper: top-1 85.7 (table 1)."""

_base_ = 'gcvit_b_in1k.py'

model = dict(backbone=dict(arch='large'), head=dict(in_channels=1536))
