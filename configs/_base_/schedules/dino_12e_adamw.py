"""12 epochs of COCO for DINO, otherwise as dino_36e_adamw.py; a step after 11 epochs."""

_base_ = 'dino_36e_adamw.py'

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=max_epochs, milestones=[11])]
