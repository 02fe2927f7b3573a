"""GC ViT-Small2, ImageNet-1K, 310 epochs at 224 px, total batch 1024 (8 GPUs x 64 images x 2 accumulated steps).

Expected: top-1 84.8 (the paper's, table 1). Not run in full.

The total batch is the released files'; the paper does not name this model's.
"""

_base_ = 'gcvit_s_in1k.py'

model = dict(backbone=dict(arch='small2'))
