"""Cascade Mask R-CNN, Swin-S, COCO 2017, 36 epochs.

Expected: box AP 51.9, mask AP 45.0 (as GC ViT's paper states them, table 2). Not run in full.

As cascade_swin_t.py, drop path 0.2 included, as in Swin's repository.
"""

_base_ = 'cascade_swin_t.py'

released = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth'
model = dict(
    backbone=dict(depths=(2, 2, 18, 2), init_cfg=dict(checkpoint=released)),
)
