"""Cascade Mask R-CNN, ConvNeXt-S, COCO 2017, 36 epochs.

Expected: box AP 51.9, mask AP 45.0 (as GC ViT's paper states them, table 2). Not run in full.

As cascade_convnext_t.py, with mmdet's values for S: drop path 0.6, twelve layers.
"""

_base_ = 'cascade_convnext_t.py'

released = 'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-small_3rdparty_32xb128-noema_in1k_20220301-303e75e3.pth'
model = dict(
    backbone=dict(arch='small', drop_path_rate=0.6, init_cfg=dict(checkpoint=released)),
)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
