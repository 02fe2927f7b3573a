"""UPerNet on a small GC ViT, the digits dataset, 2 CPU cores: minutes instead of days.

Differs from ../upernet_gcvit_t.py only in data, sizes, schedule, the weights of the classes, and
the weights it starts
from: the classifier's of gcvit_digits_cls.py.

Run:  make demo-seg
"""

_base_ = ['../upernet_gcvit_t.py', '../_base_/digits.py']

# Data
dataset_type = 'BaseSegDataset'
data_root = 'data/digits/ADEChallengeData2016'
metainfo = dict(
    classes=('background', *_base_.digits.metainfo.classes),
    palette=[(0, 0, 0), *_base_.digits.metainfo.palette],
)
scale = (128, 128)
dataset = dict(
    type=dataset_type,
    data_root=data_root,
    metainfo=metainfo,
    reduce_zero_label=True,
    img_suffix='.jpg',
    seg_map_suffix='.png',
)
# No flips, as mirrored digits are different.
train_pipeline = [
    _base_.load_image,
    _base_.load_annotations,
    dict(type='Resize', scale=scale),
    _base_.pack,
]
test_pipeline = [
    _base_.load_image,
    dict(type='Resize', scale=scale),
    _base_.load_annotations,
    _base_.pack,
]
train_dataloader = dict(
    batch_size=8, num_workers=2, dataset=dict(**dataset, pipeline=train_pipeline)
)
val_dataloader = dict(batch_size=1, num_workers=2, dataset=dict(**dataset, pipeline=test_pipeline))
test_dataloader = val_dataloader
tta_resizes = [dict(type='Resize', scale=(side, side)) for side in (112, 128, 144)]
tta_transforms = [
    tta_resizes,
    [dict(type='RandomFlip', prob=0.0)],
    [_base_.load_annotations],
    [_base_.pack],
]
tta_pipeline = [_base_.load_image, dict(type='TestTimeAug', transforms=tta_transforms)]

# Nine of ten pixels are background; with equal weights a short training predicts nothing else.
class_weight = [0.1, *[1.0] * 10]
# The original mmsegmentation cannot average a loss with class weights over labelled pixels. Here
# mmengine averages it over all pixels, and loss_weight makes up for the small weight of the
# background.
loss = dict(class_weight=class_weight, reduction='none')

# Sizes
model = dict(
    data_preprocessor=dict(size=scale),
    backbone=_base_.digits.backbone,
    decode_head=dict(
        in_channels=[16, 32, 64, 128],
        channels=64,
        num_classes=11,
        loss_decode=dict(**loss, loss_weight=5.0),
    ),
    auxiliary_head=dict(
        in_channels=64, channels=64, num_classes=11, loss_decode=dict(**loss, loss_weight=2.0)
    ),
)

# Schedule
max_iters = 800
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    _base_.digits.warmup,
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters),
]
optim_wrapper = _base_.digits.optim_wrapper
custom_hooks = [dict(type='EMAHook', momentum=0.02)]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=max_iters))
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=8)
