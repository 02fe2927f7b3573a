"""ImageNet-1K for GC ViT: imagenet_1k.py, with bilinear or bicubic resizing at random in training.

As in the authors' released code; the paper does not say. Test crop of 0.875, for xtiny, tiny2,
small and small2.
"""

_base_ = 'imagenet_1k.py'

interpolations = ('bilinear', 'bicubic')
crops = [[dict(_base_.crop, interpolation=name)] for name in interpolations]
# Rotations, shears and translations also interpolate.
hparams = _base_.augment.hparams
augments = [
    [dict(_base_.augment, hparams=dict(hparams, interpolation=name))] for name in interpolations
]
train_pipeline = [
    _base_.load,
    dict(type='RandomChoice', transforms=crops),
    _base_.flip,
    dict(type='RandomChoice', transforms=augments),
    _base_.erase,
    _base_.pack,
]
del hparams
# As in the released code. An epoch ends with a whole optimizer step.
train_dataloader = dict(batch_size=128, drop_last=True, dataset=dict(pipeline=train_pipeline))
