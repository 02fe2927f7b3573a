"""Mask R-CNN, ConvNeXt-T, COCO 2017, 36 epochs: GC ViT's recipe.

Expected: no figure is published for this recipe; mask_rcnn_convnext_t.py has the network's own. Not run in full.

ConvNeXt-T in the place of GC ViT, all else as ../mask_rcnn_gcvit_t.py, drop path included, for a comparison like for
like.
"""

_base_ = ['../mask_rcnn_gcvit_t.py', '../_base_/models/convnext_t.py']

custom_imports = dict(imports=['mmgcvit', 'mmgcvit.detection', 'mmpretrain.models'])

model = dict(
    backbone=dict(_base_.convnext, _delete_=True),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
