"""GC ViT-XXTiny, ImageNet-1K, 310 epochs at 224 px, total batch 4096 (8 GPUs x 128 images x 4 accumulated steps).

Expected: top-1 79.9 (the paper's, table 1). Not run in full.
"""

_base_ = 'gcvit_t_in1k.py'

model = dict(backbone=dict(arch='xxtiny'))
