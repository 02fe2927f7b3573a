"""Mask R-CNN, Swin-S, COCO 2017, 36 epochs.

Expected: not known here. Not run in full by this project.
Memory:   not measured on a GPU.

Swin-S in the place of GC ViT-S, all else as ../mask_rcnn_gcvit_s.py: its recipe and its drop path are not Swin's own,
with which the published figures are made.
"""

_base_ = 'mask_rcnn_swin_t.py'

released = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth'
model = dict(
    backbone=dict(depths=(2, 2, 18, 2), drop_path_rate=0.3, init_cfg=dict(checkpoint=released)),
)
