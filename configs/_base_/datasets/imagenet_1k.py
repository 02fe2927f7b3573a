"""ImageNet-1K at data/imagenet/ (folders train/ and val/ with a folder per class), augmented as for
Swin and DeiT.

At test the short side becomes 256 px and the middle 224 px are taken: a crop of 0.875. GC ViT's
released files also name colour jitter of 0.4; the trainer that they are for leaves that out where
RandAugment is on.
"""

dataset_type = 'ImageNet'
data_root = 'data/imagenet'
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]
data_preprocessor = dict(num_classes=1000, mean=mean, std=std, to_rgb=True)

# Parts of the pipelines, for this config and those based on it. Images are BGR in the pipeline, RGB
# in the network.
load = dict(type='LoadImageFromFile')
crop = dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bicubic')
flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
augment = dict(
    type='RandAugment',
    policies='timm_increasing',
    num_policies=2,
    total_level=10,
    magnitude_level=9,
    magnitude_std=0.5,
    hparams=dict(pad_val=[round(x) for x in mean[::-1]], interpolation='bicubic'),
)
erase = dict(
    type='RandomErasing',
    erase_prob=0.25,
    mode='rand',
    min_area_ratio=0.02,
    max_area_ratio=1 / 3,
    fill_color=mean[::-1],
    fill_std=std[::-1],
)
pack = dict(type='PackInputs')
test_resize = dict(
    type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic'
)
test_crop = dict(type='CenterCrop', crop_size=224)

train_pipeline = [load, crop, flip, augment, erase, pack]
test_pipeline = [load, test_resize, test_crop, pack]

train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    train_dataloader,
    batch_size=128,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, split='val', pipeline=test_pipeline),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
