"""GC ViT-Tiny2, ImageNet-1K, 310 epochs at 224 px, total batch 4096 (8 GPUs x 128 images x 4 accumulated steps).

Expected: top-1 83.7 (the paper's, table 1). Not run in full.

The total batch is the released files'; the paper does not name this model's.
"""

_base_ = 'gcvit_xt_in1k.py'

model = dict(backbone=dict(arch='tiny2'))
