"""368,750 iterations, 50 epochs of COCO at a total batch of 16 (8 GPUs x 2 images), as mmdet's Mask2Former of Swin.

Steps after 327,778 and 355,092 iterations; scores every 5000, after the 365,000th only at the end. The backbone learns
at a tenth of the rate; no decay on norms, position tables, queries and embeddings of levels.

A parameter takes the rule of the longest of these keys that is in its name,
and then no rule for norms: the backbone's norms and position tables need keys of their own.
"""

max_iters, interval = 368_750, 5000
train_cfg = dict(
    type='mmgcvit.IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=interval,
    dynamic_intervals=[(max_iters // interval * interval + 1, max_iters)],
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=max_iters, by_epoch=False, milestones=[327_778, 355_092], gamma=0.1)
]
undecayed = [
    'relative_position_bias_table',
    'pos_embed',
    *(
        f'.{norm}.{parameter}'
        for norm in ('norm', 'norm0', 'norm1', 'norm2', 'norm3', 'norm_in', 'norm_out')
        for parameter in ('weight', 'bias')
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmgcvit.GroupedParamsOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=0.01),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys=dict(
            backbone=dict(lr_mult=0.1),
            **{key: dict(lr_mult=0.1, decay_mult=0.0) for key in undecayed},
            **{key: dict(decay_mult=0.0) for key in ('query_embed', 'query_feat', 'level_embed')},
        ),
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
