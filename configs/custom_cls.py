"""GC ViT-T classifier, fine-tuned on your own class folders. docs/custom_dataset.md says how.

Run:  python tools/train.py configs/custom_cls.py            (one GPU)
      tools/dist_train.sh configs/custom_cls.py 8            (several; the learning rate follows the number)

Copy this file within configs/ and change the first lines.
"""

_base_ = 'gcvit_t_in1k.py'

# The data folder; inside it, class folders. Or lists of image names and labels.
data_root = 'data/my_dataset'
train_images = 'train'
val_images = 'val'
train_list = ''
val_list = ''
# The classes: the folders' names, in any order.
classes = ('cat', 'dog')
# Side of the square images in pixels: a random crop in training, the centre in tests.
image_size = 224
# Epochs.
max_epochs = 30
# Backbone weights: a file, a URL, timm://gcvit_tiny, or None. These are the authors', under CC
# BY-NC-SA 4.0: not for commercial use.
pretrained = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
# A classifier of these classes to start from, or None.
load_from = None
# What is trained of the backbone: 'all', 'lora' (low-rank updates of its attention) or nothing ('head').
fine_tune = 'all'

# Derived from the settings above. mmpretrain numbers classes by their sorted folders.
assert fine_tune in ('all', 'lora', 'head'), f"fine_tune = {fine_tune!r}: expected 'all', 'lora' or 'head'"
metainfo = dict(classes=(classes,) if isinstance(classes, str) else tuple(sorted(classes)))
num_classes = len(metainfo['classes'])
data_preprocessor = dict(num_classes=num_classes)

train_crop = dict(_base_.crop, scale=image_size, crop_ratio_range=(0.35, 1.0))
train_pipeline = [_base_.load, train_crop, _base_.flip, _base_.pack]
# Centre crop of 7/8 of the short side, as most ImageNet recipes have (gcvit_t_in1k tests on the whole side).
test_resize = dict(_base_.test_resize, scale=image_size * 8 // 7)
test_pipeline = [_base_.load, test_resize, dict(type='CenterCrop', crop_size=image_size), _base_.pack]
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

# Without ImageNet's Mixup, CutMix and colour transforms, as colours may distinguish the classes.
model = dict(
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        **dict(all={}, lora=dict(lora_rank=8), head=dict(frozen_stages=4))[fine_tune],
    ),
    head=dict(num_classes=num_classes),
    train_cfg=None,
)

# About ten validations and checkpoints.
interval = max(1, max_epochs // 10)
lr = 1e-4
train_cfg = dict(max_epochs=max_epochs, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval, save_best='auto'), logger=dict(interval=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=True, end=min(2, max_epochs), convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=True, end=max_epochs, convert_to_iter_based=True),
]
optim_wrapper = dict(accumulative_counts=1, optimizer=dict(lr=lr))
# EMA over the last tenth of the run so far, at most 500 steps; the recipe's is over 5,000.
custom_hooks = [
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.002, gamma=10, priority='ABOVE_NORMAL'),
]
# The learning rate is for a batch size of 32, that of one GPU.
auto_scale_lr = dict(enable=True, base_batch_size=32)
