"""Mask R-CNN, Swin-S, COCO 2017, 36 epochs.

Expected: box AP 48.5, mask AP 43.3 (Swin's repository's). Not run in full.

Swin's recipe as mmdet's mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco has it: drop path 0.2.
"""

_base_ = 'mask_rcnn_swin_t.py'

released = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth'
model = dict(
    backbone=dict(depths=(2, 2, 18, 2), init_cfg=dict(checkpoint=released)),
)
