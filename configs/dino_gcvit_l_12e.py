"""DINO with 4 scales, GC ViT-L pretrained on ImageNet-21K, COCO 2017, 12 epochs: DINO's short
schedule.
"""

_base_ = 'dino_gcvit_l.py'

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [_base_.warmup, dict(_base_.steps, end=max_epochs, milestones=[11])]
