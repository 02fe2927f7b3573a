"""GC ViT-T classifier, fine-tuned on images of your own in a folder for each class. docs/custom_dataset.md says how.

Run:  python tools/train.py configs/custom_cls.py            (one GPU)
      tools/dist_train.sh configs/custom_cls.py 8            (several; the learning rate follows the number)

Copy this file beside the others in configs/ and change the first lines.
"""

_base_ = 'gcvit_t_in1k.py'

# The folder of the data; in it those with a folder for each class. Or lists: names of images and numbers of classes.
data_root = 'data/my_dataset'
train_images = 'train'
val_images = 'val'
train_list = ''
val_list = ''
# The classes: the names of these folders, in any order.
classes = ('cat', 'dog')
# Images are squares of this side in pixels: in training a part of the image, in tests its middle.
image_size = 224
# Passes over the training images.
max_epochs = 30
# The backbone's weights to start from: a file, an address, timm://gcvit_tiny, or None. These are the authors', under CC
# BY-NC-SA 4.0: not for commercial use.
pretrained = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
# A whole classifier of these classes to start from; None starts from the backbone's weights.
load_from = None
# What of the backbone is trained: 'all'; 'lora', small additions to its attention; or nothing, 'head'.
fine_tune = 'all'

# What follows from these lines. The hosts number classes by their folders, sorted.
assert fine_tune in ('all', 'lora', 'head'), f"fine_tune = {fine_tune!r}: expected 'all', 'lora' or 'head'"
metainfo = dict(classes=(classes,) if isinstance(classes, str) else tuple(sorted(classes)))
num_classes = len(metainfo['classes'])
data_preprocessor = dict(num_classes=num_classes)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop',
        scale=image_size,
        crop_ratio_range=(0.35, 1.0),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
# The middle 7/8 of the short side, as in the training on ImageNet.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=image_size * 8 // 7, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=image_size),
    dict(type='PackInputs'),
]
dataset = dict(_delete_=True, type='CustomDataset', data_root=data_root, metainfo=metainfo)
loader = dict(batch_size=32, num_workers=4)
train_dataloader = dict(
    **loader, dataset=dict(**dataset, data_prefix=train_images, ann_file=train_list, pipeline=train_pipeline)
)
val_dataloader = dict(
    **loader, dataset=dict(**dataset, data_prefix=val_images, ann_file=val_list, pipeline=test_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator

# Neither mixed images nor other colours, which the training on ImageNet has: colours may tell the classes apart.
model = dict(
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        **dict(all={}, lora=dict(lora_rank=8), head=dict(frozen_stages=4))[fine_tune],
    ),
    head=dict(num_classes=num_classes),
    train_cfg=None,
)

# About ten validations and checkpoints, however long the run.
interval = max(1, max_epochs // 10)
lr = 1e-4
train_cfg = dict(max_epochs=max_epochs, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval, save_best='auto'), logger=dict(interval=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=True, end=min(2, max_epochs), convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=True, end=max_epochs, convert_to_iter_based=True),
]
optim_wrapper = dict(accumulative_counts=1, optimizer=dict(lr=lr))
# The moving average is of the last tenth of the run so far, at most of 500 steps; the recipe's is of 5,000.
custom_hooks = [
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.002, gamma=10, priority='ABOVE_NORMAL'),
]
# The learning rate is for 32 images at a time, as one GPU takes.
auto_scale_lr = dict(enable=True, base_batch_size=32)
