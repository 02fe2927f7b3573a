"""DINO with 4 scales, GC ViT-T, COCO 2017, 12 epochs, with DINO's own decay and schedule.

Expected: no figure is published. Not run in full.

As mmdet's dino-4scale_r50_8xb2-12e_coco and DINO's own files: weight decay 1e-4, of norms too, no warm-up, a step after
11 epochs. Other networks of this size are published with it.
"""

_base_ = 'dino_gcvit_t_12e.py'

param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[11], gamma=0.1),
]
optim_wrapper = dict(
    optimizer=dict(weight_decay=1e-4),
    paramwise_cfg=dict(_delete_=True, custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
