"""ImageNet-1K for GC ViT: imagenet_1k.py, with bilinear or bicubic resizing at random in training.

So the authors' released code; the paper does not say. Crop of 0.875 at test, for xtiny, tiny2, small and small2.
"""

_base_ = 'imagenet_1k.py'

interpolations = ('bilinear', 'bicubic')

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation=interpolation)]
            for interpolation in interpolations
        ],
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    # Its rotations, shears and translations resample too.
    dict(
        type='RandomChoice',
        transforms=[
            [
                dict(
                    type='RandAugment',
                    policies='timm_increasing',
                    num_policies=2,
                    total_level=10,
                    magnitude_level=9,
                    magnitude_std=0.5,
                    hparams=dict(pad_val=[round(x) for x in _base_.bgr_mean], interpolation=interpolation),
                )
            ]
            for interpolation in interpolations
        ],
    ),
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=_base_.bgr_mean,
        fill_std=_base_.bgr_std,
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
