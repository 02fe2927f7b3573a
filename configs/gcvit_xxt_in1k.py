"""GC ViT-XXTiny, ImageNet-1K, 310 epochs at 224 px, batch 4096. Paper: top-1 79.9 (table 1)."""

_base_ = 'gcvit_t_in1k.py'

model = dict(backbone=dict(arch='xxtiny'))
