"""Mask R-CNN, Swin-T, COCO 2017, 36 epochs: GC ViT's recipe.

Expected: no figure is published for this recipe; mask_rcnn_swin_t.py has the network's own. Not run in full by this
          project.
Memory:   not measured on a GPU.

Swin-T in the place of GC ViT, all else as ../mask_rcnn_gcvit_t.py, drop path included, for a comparison like for like.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

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
