"""Cascade Mask R-CNN, Swin-B, COCO 2017, 36 epochs. Paper: box AP 51.9, mask AP 45.0 (GC ViT's
table 2).

Drop path: Swin's.
"""

_base_ = 'cascade_swin_t.py'

released = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window7_224.pth'
model = dict(
    backbone=dict(
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=released),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
