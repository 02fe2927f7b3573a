"""DINO with 4 scales, GC ViT-L pretrained on ImageNet-21K, COCO 2017, 36 epochs, with DINO's own decay and schedule.

Expected: no figure is published for these settings; dino_gcvit_l.py has those of the paper's text. Not run in full.

As mmdet's dino-4scale_r50_8xb2-36e_coco: weight decay 1e-4, of norms too, no warm-up, one step, after 30 epochs. On
Swin-L mmdet, with 5 scales, steps after 27 and 33, detrex, with 4, after 33.
"""

_base_ = 'dino_gcvit_l.py'

param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=36, by_epoch=True, milestones=[30], gamma=0.1),
]
optim_wrapper = dict(
    optimizer=dict(weight_decay=1e-4),
    paramwise_cfg=dict(_delete_=True, custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
