"""Cascade Mask R-CNN, Swin-T, COCO 2017, 36 epochs. Paper: box AP 50.4, mask AP 43.7 (GC ViT's
table 2).

Drop path and mixed precision of Swin's repository, the warm-up of mmdet's Mask R-CNN on Swin; mmdet
has no such config.
"""

_base_ = ['../cascade_gcvit_t.py', '../_base_/models/swin_t.py']

model = dict(backbone=dict(_base_.swin, _delete_=True), neck=dict(in_channels=[96, 192, 384, 768]))
param_scheduler = [dict(_base_.warmup, end=1000), _base_.steps]
optim_wrapper = dict(type='mmgcvit.AutoPrecisionOptimWrapper', loss_scale='dynamic')
