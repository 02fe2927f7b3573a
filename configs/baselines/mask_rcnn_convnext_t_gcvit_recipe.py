"""Mask R-CNN, ConvNeXt-T, COCO 2017, 36 epochs: GC ViT's recipe.

Expected: no figure is published for this recipe; mask_rcnn_convnext_t.py has the network's own. Not run in full by this
          project.
Memory:   not measured on a GPU.

ConvNeXt-T in the place of GC ViT, all else as ../mask_rcnn_gcvit_t.py, drop path included, for a comparison like for
like.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit', 'mmgcvit.hosts.mmdet', 'mmpretrain.models'])

released = 'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ConvNeXt',
        arch='tiny',
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.2,
        layer_scale_init_value=1.0,
        gap_before_final_norm=False,
        init_cfg=dict(type='Pretrained', checkpoint=released, prefix='backbone.'),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
