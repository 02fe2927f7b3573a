"""ImageNet-1K for GC ViT: imagenet_1k.py, with bilinear or bicubic resizing at random in training.

As in the authors' released code; the paper does not say. Test crop of 0.875, for xtiny, tiny2, small and small2.
"""

_base_ = 'imagenet_1k.py'

interpolations = ('bilinear', 'bicubic')
load, crop, flip, augment, erase, pack = _base_.train_pipeline
hparams = augment.hparams
train_pipeline = [
    load,
    dict(type='RandomChoice', transforms=[[dict(crop, interpolation=name)] for name in interpolations]),
    flip,
    # Its rotations, shears and translations also interpolate.
    dict(
        type='RandomChoice',
        transforms=[[dict(augment, hparams=dict(hparams, interpolation=name))] for name in interpolations],
    ),
    erase,
    pack,
]
del load, crop, flip, augment, erase, pack, hparams
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
