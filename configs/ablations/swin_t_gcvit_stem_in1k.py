"""Swin without shifting at GC ViT-T's sizes and with its stem, ImageNet-1K, 310 epochs, total batch 4096.

Expected: top-1 82.2 (table 5; derived from the differences that the paper's text states). Not run in full by this
          project.
Memory:   not measured on a GPU.

Table 5, row 3: row 2 with GC ViT's stem; between stages still Swin's patch merging. Trained as GC ViT-T; the paper
does not say how.
"""

_base_ = '../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.SwinWithGCViTStem'))
