"""368,750 iterations, 50 epochs of COCO at a total batch of 16 (8 GPUs x 2 images), as mmdet's
Mask2Former of Swin.

Steps after 327,778 and 355,092 iterations; scores every 5000, after the 365,000th only at the end.
The backbone learns at a tenth of the rate; no decay on norms, position tables, queries and
embeddings of levels.

The keys are those of dino_36e_adamw.py and a few more.
"""

_base_ = 'dino_36e_adamw.py'

del _base_.max_epochs
max_iters, interval = 368_750, 5000
train_cfg = dict(
    _delete_=True,
    type='mmgcvit.IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=interval,
    dynamic_intervals=[(max_iters // interval * interval + 1, max_iters)],
)

param_scheduler = [
    dict(
        type='MultiStepLR',
        begin=0,
        end=max_iters,
        by_epoch=False,
        milestones=[327_778, 355_092],
        gamma=0.1,
    )
]
optim_wrapper = dict(
    clip_grad=dict(max_norm=0.01),
    paramwise_cfg=dict(
        custom_keys=dict(
            **{key: dict(lr_mult=0.1, decay_mult=0.0) for key in ('.norm.weight', '.norm.bias')},
            **{key: dict(decay_mult=0.0) for key in ('query_embed', 'query_feat', 'level_embed')},
        ),
    ),
)
