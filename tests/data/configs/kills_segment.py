"""A small segmentor that draws wherever one can, for runs that are killed and resumed. DIGITS names the data."""

_base_ = 'segment.py'

images = dict(
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=(96, 64), ratio_range=(0.7, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackSegInputs'),
    ]
)
train_dataloader = dict(num_workers=2, persistent_workers=True, dataset=images)
model = dict(
    data_preprocessor=dict(size=(32, 32)),
    backbone=dict(
        arch=dict(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1), mlp_ratio=1), drop_path_rate=0.3
    ),
    decode_head=dict(in_channels=16, dropout_ratio=0.3),
)
train_cfg = dict(type='mmgcvit.IterBasedTrainLoop', max_iters=40, val_interval=8)
param_scheduler = [dict(type='PolyLR', by_epoch=False, power=1.0, eta_min=0.0, end=40)]
custom_hooks = [dict(type='EMAHook', momentum=0.1)]
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2), exact_resume=dict(type='mmgcvit.ExactResumeHook'))
randomness = dict(seed=0)
