"""Mask R-CNN, Swin-B, COCO 2017, 36 epochs.

Expected: not known here. Not run in full by this project.
Memory:   not measured on a GPU.

Swin-B in the place of GC ViT-B, all else as ../mask_rcnn_gcvit_b.py: its recipe and its drop path are not Swin's own,
with which the published figures are made.
"""

_base_ = 'mask_rcnn_swin_t.py'

released = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window7_224.pth'
model = dict(
    backbone=dict(
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        drop_path_rate=0.5,
        init_cfg=dict(checkpoint=released),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
