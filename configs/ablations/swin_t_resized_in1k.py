"""Swin without shifting at GC ViT-T's sizes, ImageNet-1K, 310 epochs, total batch 4096.

Expected: top-1 81.9 (table 5; derived from the differences that the paper's text states). Not run in full by this
          project.
Memory:   not measured on a GPU.

Table 5, row 2: width, depths, heads, MLP ratio and windows of GC ViT-T; Swin's patch embedding and merging, all
blocks local. Trained as GC ViT-T; the paper does not say how.
"""

_base_ = '../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.SwinWithoutShifting'))
