"""Cascade Mask R-CNN, Swin-S, COCO 2017, 36 epochs. Paper: box AP 51.9, mask AP 45.0 (GC ViT's
table 2).
"""

_base_ = 'cascade_swin_t.py'

released = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth'
model = dict(
    backbone=dict(depths=(2, 2, 18, 2), init_cfg=dict(checkpoint=released)),
)
