"""160,000 iterations of ADE20K with AdamW at a total batch of 16 (8 GPUs x 2 images): Swin's
recipe.

No weight decay on norms; Swin's recipe decays those of the heads by a slip: docs/recipes.md.
"""

_base_ = 'adamw_bs16.py'

max_iters = 160_000
train_cfg = dict(type='mmgcvit.IterBasedTrainLoop', max_iters=max_iters, val_interval=16_000)

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=1500, end=max_iters, by_epoch=False),
]
optim_wrapper = dict(optimizer=dict(lr=6e-5, weight_decay=0.01))
