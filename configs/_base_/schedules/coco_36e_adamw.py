"""36 epochs of COCO with AdamW at a total batch of 16 (8 GPUs x 2 images); steps after 27 and 33
epochs.

No weight decay on norms and position tables; the released configs decay some by slips:
docs/recipes.md.
"""

_base_ = 'adamw_bs16.py'

max_epochs = 36
train_cfg = dict(type='mmgcvit.EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)

warmup = dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=2500)
steps = dict(
    type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[27, 33], gamma=0.1
)
param_scheduler = [warmup, steps]
