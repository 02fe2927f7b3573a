"""Mask R-CNN on a small GC ViT, the digits dataset, 2 CPU cores: minutes instead of days.

Differs from ../mask_rcnn_gcvit_t.py only in data, sizes, schedule, and the weights it starts from:
the classifier's of gcvit_digits_cls.py.

Run:  make demo
"""

_base_ = ['../mask_rcnn_gcvit_t.py', '../_base_/digits.py']

# Data
metainfo = _base_.digits.metainfo
train_dataloader = _base_.digits.train_dataloader
val_dataloader = _base_.digits.val_dataloader
test_dataloader = val_dataloader
val_evaluator = _base_.digits.val_evaluator
test_evaluator = val_evaluator

# Sizes
model = dict(
    backbone=_base_.digits.backbone,
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=64, num_outs=4),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[4], ratios=[1.0, 2.0], strides=[4, 8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, finest_scale=28),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=10),
        mask_roi_extractor=dict(out_channels=64, finest_scale=28),
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64, num_classes=10),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=400, max_per_img=200),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=400, max_per_img=200)),
)

# Schedule
max_epochs = 4
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    _base_.digits.warmup,
    dict(_base_.digits.cosine, end=max_epochs),
]
optim_wrapper = _base_.digits.optim_wrapper
custom_hooks = [dict(type='EMAHook', momentum=0.02)]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=max_epochs),
)
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=8)
