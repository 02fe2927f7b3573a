"""Mask R-CNN, Swin-T, COCO 2017, 36 epochs. Paper: box AP 46.0, mask AP 41.6 (GC ViT's table 2).

mmdet's mask-rcnn_swin-t-p4-w7_fpn_amp-ms-crop-3x_coco: GC ViT's recipe with a shorter warm-up.
"""

_base_ = ['../mask_rcnn_gcvit_t.py', '../_base_/models/swin_t.py']

model = dict(backbone=dict(_base_.swin, _delete_=True), neck=dict(in_channels=[96, 192, 384, 768]))
param_scheduler = [dict(_base_.warmup, end=1000), _base_.steps]
