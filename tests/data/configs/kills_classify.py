"""A small classifier, with LoRA, that draws wherever one can, for runs that are killed. DIGITS names the data."""

_base_ = 'classify.py'

images = dict(
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=32),
        dict(type='RandomFlip', prob=0.5),
        dict(type='RandAugment', policies='timm_increasing', num_policies=2, total_level=10, magnitude_level=9),
        dict(type='RandomErasing', erase_prob=0.5, mode='rand', fill_color=[0, 0, 0], fill_std=[50, 50, 50]),
        dict(type='PackInputs'),
    ]
)
train_dataloader = dict(num_workers=2, persistent_workers=True, sampler=dict(shuffle=True), dataset=images)
model = dict(
    backbone=dict(
        arch=dict(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1), mlp_ratio=1),
        drop_path_rate=0.3,
        lora_rank=2,
    ),
    head=dict(in_channels=64, loss=dict(use_soft=True)),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
train_cfg = dict(_delete_=True, type='mmgcvit.EpochBasedTrainLoop', max_epochs=8, val_interval=2)
optim_wrapper = dict(accumulative_counts=3)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=5),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, convert_to_iter_based=True),
]
custom_hooks = [dict(type='EMAHook', momentum=0.1)]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, max_keep_ckpts=2), exact_resume=dict(type='mmgcvit.ExactResumeHook')
)
randomness = dict(seed=0)
