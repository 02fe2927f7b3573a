"""Mask R-CNN, ConvNeXt-S, COCO 2017, 36 epochs.

Expected: not known here. Not run in full by this project.
Memory:   not measured on a GPU.

ConvNeXt-S in the place of GC ViT-S, all else as ../mask_rcnn_gcvit_s.py: its recipe and its drop path are not
ConvNeXt's own, with which the published figures are made.
"""

_base_ = 'mask_rcnn_convnext_t.py'

released = 'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-small_3rdparty_32xb128-noema_in1k_20220301-303e75e3.pth'
model = dict(
    backbone=dict(arch='small', drop_path_rate=0.3, init_cfg=dict(checkpoint=released)),
)
