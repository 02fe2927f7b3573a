"""RTMDet-Ins on a small GC ViT, the digits dataset: minutes on a CPU instead of days.

Differs from ../other_heads/rtmdet_ins_gcvit_t.py only in data, sizes, schedule, and the weights it
starts from: the classifier's of gcvit_digits_cls.py.

Run:  python tools/make_digits.py data/digits
      python tools/train.py configs/demo/rtmdet_ins_gcvit_digits.py
"""

_base_ = ['../other_heads/rtmdet_ins_gcvit_t.py', '../_base_/digits.py']

# Data
metainfo = _base_.digits.metainfo
train_dataloader = _base_.digits.train_dataloader
val_dataloader = _base_.digits.val_dataloader
test_dataloader = val_dataloader
val_evaluator = _base_.digits.val_evaluator
test_evaluator = val_evaluator

# Sizes
channels = 64
# The neck has norms of 8 to 64 channels.
groups = dict(num_groups=2)
model = dict(
    backbone=dict(_base_.digits.backbone, out_indices=(0, 1, 2, 3), with_cp=False),
    neck=dict(
        in_channels=[16, 32, 64, 128], out_channels=channels, num_csp_blocks=1, norm_cfg=groups
    ),
    bbox_head=dict(
        num_classes=10,
        in_channels=channels,
        feat_channels=channels,
        norm_cfg=groups,
        anchor_generator=dict(strides=[4, 8, 16, 32]),
    ),
    test_cfg=dict(nms_pre=400),
)

# Schedule
max_epochs = 10
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs, dynamic_intervals=None)
param_scheduler = [
    _base_.digits.warmup,
    dict(_base_.digits.cosine, end=max_epochs),
]
optim_wrapper = _base_.digits.optim_wrapper
custom_hooks = [dict(type='EMAHook', momentum=0.02)]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=max_epochs))
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=8)
