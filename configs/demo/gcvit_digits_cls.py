"""A small GC ViT classifier of scanned digits, 32 px, 2 CPU cores: minutes. The demo's detector and
segmentor start from its weights, which come with the project.

Differs from ../gcvit_xxt_in1k.py only in data, sizes and schedule.

Run:  python tools/make_digits.py data/digits && mmgcvit train configs/demo/gcvit_digits_cls.py
    --progress
"""

_base_ = '../gcvit_xxt_in1k.py'

# Data
data_root = 'data/digits/imagenet'
metainfo = dict(classes=tuple('0123456789'))
data_preprocessor = dict(num_classes=10)
scale = 32
# No flips and colour transforms, as digits are bright on dark and not symmetric; shears instead.
slant = dict(
    magnitude_level=1,
    magnitude_std='inf',
    total_level=1,
    prob=0.5,
    pad_val=30,
    interpolation='bilinear',
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Rotate', magnitude_range=(0, 15), **slant),
    dict(type='Shear', magnitude_range=(0, 0.2), **slant),
    dict(
        type='RandomResizedCrop',
        scale=scale,
        crop_ratio_range=(0.8, 1.0),
        aspect_ratio_range=(0.8, 1.25),
    ),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(scale, scale)),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    drop_last=False,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline),
)
test_dataloader = val_dataloader

# Sizes
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=16, depths=(2, 2, 4, 2), num_heads=(1, 2, 4, 8), mlp_ratio=3
        ),
        window_size=(4, 4, 2, 1),
        pretrain_img_size=scale,
        drop_path_rate=0.05,
    ),
    head=dict(num_classes=10, in_channels=128),
    train_cfg=None,
)

# Schedule
lr = 2e-3
max_epochs = 14
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=90),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=1, end=max_epochs, convert_to_iter_based=True
    ),
]
# Its weights were trained without decay of the position tables; the recipe decays them.
optim_wrapper = dict(
    optimizer=dict(lr=lr),
    paramwise_cfg=dict(custom_keys=dict(relative_position_bias_table=dict(decay_mult=0.0))),
)
custom_hooks = [dict(type='EMAHook', momentum=0.02, priority='ABOVE_NORMAL')]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=max_epochs, save_best=None))
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=64)
