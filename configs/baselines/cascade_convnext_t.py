"""Cascade Mask R-CNN, ConvNeXt-T, COCO 2017, 36 epochs. Paper: box AP 50.4, mask AP 43.7 (GC ViT's
table 2).

mmdet's cascade-mask-rcnn_convnext-t-p4-w7_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.
"""

_base_ = ['../cascade_gcvit_t.py', '../_base_/models/convnext_t.py']

custom_imports = dict(imports=['mmgcvit', 'mmgcvit.fixes.mmdet', 'mmpretrain.models'])

model = dict(
    backbone=dict(_base_.convnext, _delete_=True),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
param_scheduler = [dict(_base_.warmup, end=1000), _base_.steps]
optim_wrapper = dict(
    type='mmgcvit.AutoPrecisionOptimWrapper',
    loss_scale='dynamic',
    constructor='LearningRateDecayOptimizerConstructor',
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(_delete_=True, decay_rate=0.7, decay_type='layer_wise', num_layers=6),
)
