"""Cascade Mask R-CNN, ConvNeXt-T, COCO 2017, 36 epochs.

Expected: box AP 50.4, mask AP 43.7 (as GC ViT's paper states them, table 2). Not run in full.

ConvNeXt's recipe as mmdet's cascade-mask-rcnn_convnext-t-p4-w7_fpn_4conv1fc-giou_amp-ms-crop-3x_coco has it: drop path
0.4, a rate of 2e-4 that falls by 0.7 a layer, a shorter warm-up. Mixed precision, as published.
"""

_base_ = 'cascade_convnext_t_gcvit_recipe.py'

model = dict(backbone=dict(drop_path_rate=0.4))
param_scheduler = [dict(_base_.param_scheduler[0], end=1000), _base_.param_scheduler[1]]
optim_wrapper = dict(
    type='mmgcvit.AutoPrecisionOptimWrapper',
    loss_scale='dynamic',
    constructor='LearningRateDecayOptimizerConstructor',
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(_delete_=True, decay_rate=0.7, decay_type='layer_wise', num_layers=6),
)
