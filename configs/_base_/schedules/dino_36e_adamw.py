"""36 epochs of COCO for DINO with AdamW at a total batch of 16 (8 GPUs x 2 images); steps after 27 and 33 epochs.

Weight decay and warm-up are those of GC ViT's paper for its detectors, the rest is DINO's: docs/recipes.md.

A parameter takes the rule of the longest of these keys that is in its name,
and then no rule for norms: the backbone's norms and position tables need keys of their own.
"""

max_epochs = 36
train_cfg = dict(type='mmgcvit.EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=2500),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[27, 33], gamma=0.1),
]
undecayed = [
    'relative_position_bias_table',
    'pos_embed',
    *(
        f'.{norm}.{parameter}'
        for norm in ('norm0', 'norm1', 'norm2', 'norm3', 'norm_in', 'norm_out')
        for parameter in ('weight', 'bias')
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmgcvit.GroupedParamsOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=0.1),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys=dict(
            backbone=dict(lr_mult=0.1),
            **{key: dict(lr_mult=0.1, decay_mult=0.0) for key in undecayed},
        ),
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
