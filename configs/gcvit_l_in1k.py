"""GC ViT-Large, ImageNet-1K, 310 epochs at 224 px, total batch 1024 (8 GPUs x 64 images x 2 accumulated steps).

Expected: top-1 85.7 (the paper's, table 1). Not run in full.
"""

_base_ = 'gcvit_b_in1k.py'

model = dict(backbone=dict(arch='large'), head=dict(in_channels=1536))
