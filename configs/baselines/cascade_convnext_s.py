"""Cascade Mask R-CNN, ConvNeXt-S, COCO 2017, 36 epochs.

Expected: box AP 51.9, mask AP 45.0 (as GC ViT's paper states them, table 2). Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in ../cascade_gcvit_s.py.

ConvNeXt-S in the place of GC ViT-S, all else as ../cascade_gcvit_s.py: its recipe and its drop path are not
ConvNeXt's own, with which the published figures are made.
"""

_base_ = 'cascade_convnext_t.py'

released = 'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-small_3rdparty_32xb128-noema_in1k_20220301-303e75e3.pth'
model = dict(
    backbone=dict(arch='small', drop_path_rate=0.3, init_cfg=dict(checkpoint=released)),
)
