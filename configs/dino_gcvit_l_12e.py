"""DINO with 4 scales, GC ViT-L pretrained on ImageNet-21K, COCO 2017, 12 epochs: DINO's short schedule."""

_base_ = 'dino_gcvit_l.py'

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=2500),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[11], gamma=0.1),
]
