"""AdamW in mixed precision with clipping and no weight decay on vectors, for classifiers."""

train_cfg = dict(type='mmgcvit.EpochBasedTrainLoop', val_interval=1)
val_cfg = dict()
test_cfg = dict()

by_iter = dict(by_epoch=True, convert_to_iter_based=True)  # limits in epochs
warmup = dict(type='LinearLR', begin=0, end=20, **by_iter)
cosine = dict(type='CosineAnnealingLR', begin=20, end=300, **by_iter)

optim_wrapper = dict(
    type='mmgcvit.AutoPrecisionOptimWrapper',
    constructor='mmgcvit.GroupedParamsOptimWrapperConstructor',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
    ),
    clip_grad=dict(max_norm=5.0),
)
