"""Cascade Mask R-CNN, Swin-T, COCO 2017, 36 epochs.

Expected: box AP 50.4, mask AP 43.7 (as GC ViT's paper states them, table 2). Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in ../cascade_gcvit_t.py.

Swin-T in the place of GC ViT-T, all else as ../cascade_gcvit_t.py: its recipe and its drop path are not Swin's own,
with which the published figures are made.
"""

_base_ = '../cascade_gcvit_t.py'

released = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        drop_path_rate=0.2,
        convert_weights=True,
        init_cfg=dict(type='Pretrained', checkpoint=released),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
