"""Cascade Mask R-CNN, ConvNeXt-B, COCO 2017, 36 epochs. Paper: box AP 52.7, mask AP 45.6 (GC ViT's
table 2).

cascade_convnext_t.py with the values for B of ConvNeXt's repository; mmdet does not have it.
"""

_base_ = 'cascade_convnext_t.py'

released = 'https://mmassets.onedl.ai/mmclassification/v0/convnext/downstream/convnext-base_3rdparty_32xb128-noema_in1k_20220301-2a0ee547.pth'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.7, init_cfg=dict(checkpoint=released)),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.8, num_layers=12))
