"""Mask2Former on a small GC ViT, the digits dataset: minutes on a CPU instead of days.

Differs from ../other_heads/mask2former_gcvit_t.py only in data, sizes, schedule, and the weights it
starts from: the classifier's of gcvit_digits_cls.py.

Run:  python tools/make_digits.py data/digits
      python tools/train.py configs/demo/mask2former_gcvit_digits.py
"""

_base_ = ['../other_heads/mask2former_gcvit_t.py', '../_base_/digits.py']

# Data
metainfo = _base_.digits.metainfo
train_dataloader = _base_.digits.train_dataloader
val_dataloader = _base_.digits.val_dataloader
test_dataloader = val_dataloader
val_evaluator = _base_.digits.val_evaluator
test_evaluator = val_evaluator

# Sizes
num_classes = 10
channels = 64
attention = dict(embed_dims=channels)
positions = dict(num_feats=channels // 2)
model = dict(
    data_preprocessor=dict(batch_augments=None),
    backbone=_base_.digits.backbone,
    panoptic_head=dict(
        in_channels=[16, 32, 64, 128],
        feat_channels=channels,
        out_channels=channels,
        num_things_classes=num_classes,
        num_queries=20,
        pixel_decoder=dict(
            encoder=dict(
                num_layers=1,
                layer_cfg=dict(
                    self_attn_cfg=attention,
                    ffn_cfg=dict(embed_dims=channels, feedforward_channels=4 * channels),
                ),
            ),
            positional_encoding=positions,
        ),
        positional_encoding=positions,
        transformer_decoder=dict(
            num_layers=6,
            layer_cfg=dict(
                self_attn_cfg=attention,
                cross_attn_cfg=attention,
                ffn_cfg=dict(embed_dims=channels, feedforward_channels=4 * channels),
            ),
        ),
        loss_cls=dict(class_weight=[1.0] * num_classes + [0.1]),
    ),
    panoptic_fusion_head=dict(num_things_classes=num_classes),
    train_cfg=dict(num_points=1024),
    test_cfg=dict(max_per_image=30),
)

# Schedule
max_iters = 1000
train_cfg = dict(
    _delete_=True, type='mmgcvit.IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters
)
param_scheduler = [
    _base_.digits.warmup,
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters),
]
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=1.0))
custom_hooks = [dict(type='EMAHook', momentum=0.02)]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=max_iters))
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=8)
