"""12 epochs of COCO for DINO, otherwise as dino_36e_adamw.py; a step after 11 epochs."""

_base_ = 'dino_36e_adamw.py'

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=2500),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[11], gamma=0.1),
]
