"""Cascade Mask R-CNN, ConvNeXt-T, COCO 2017, 36 epochs.

Expected: box AP 50.4, mask AP 43.7 (as GC ViT's paper states them, table 2). Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in ../cascade_gcvit_t.py.

ConvNeXt-T in the place of GC ViT-T, all else as ../cascade_gcvit_t.py: its recipe and its drop path are not
ConvNeXt's own, with which the published figures are made.
"""

_base_ = '../cascade_gcvit_t.py'

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
