# Written by mmgcvit train --data. As written, it trains a classifier, --size mini, at 64 px, 1600 epochs.
# Relative paths start at the folder where the command runs.
# Edit the lines from _base_ on and train it again: mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER
work_dir = 'work_dirs/photos'
started_with = {'data': '../../photos',
 'task': 'classify',
 'size': 'mini',
 'no_flip': False,
 'image_size': 64,
 'batch_size': 32,
 'lr': 0.001,
 'workers': 4,
 'augment': 'light',
 'fine_tune': 'all',
 'tiles': None,
 'image_side': None,
 'pretrained': None,
 'majority': 0.5,
 'weaknesses': ['there are only 4 training images; more would help']}

# The network: gcvit_xxt_in1k.py, gcvit_t_in1k.py, and so on; for a CPU: demo/gcvit_digits_cls.py and pretrained = None.
_base_ = __import__('mmgcvit').get_config_path('demo/gcvit_digits_cls.py')

# The data folder; inside it, class folders. None: test on the validation images.
data_root = ''
train_images = 'photos'
val_images = 'photos'
test_images = None
# Lists of image names and labels, or '': all images.
train_list = 'work_dirs/photos/made/train.txt'
val_list = 'work_dirs/photos/made/val.txt'
test_list = ''
# The classes: the folders' names, in any order; with lists, in the order of the labels.
classes = ('disc', 'square')
# Side of the square images in pixels: a random crop in training, the centre in tests.
image_size = 64
# Epochs.
max_epochs = 1600
# Images in an iteration on each GPU, and processes that load them.
batch_size = 32
workers = 4
# The learning rate is for this batch size, and scaled to the effective one. None: it is not scaled.
lr = 0.001
lr_batch_size = 32
# 'none': resizing only; 'light': also random crops and flips; 'strong': also colours and erased parts.
augment = 'light'
flip = True
# Backbone weights: a file, a URL, timm://gcvit_tiny, or None. Those at huggingface.co/nvidia
# are the authors', under CC BY-NC-SA 4.0: not for commercial use.
pretrained = None
# A model to start from, for example a classifier of these classes, or None.
load_from = __import__('mmgcvit').get_config_path('demo/weights/mask_rcnn_gcvit_objects.safetensors')
# What is trained of the backbone: 'all', 'lora' (low-rank updates of its attention) or nothing ('head').
fine_tune = 'all'

# Derived from the settings above. Without lists, mmpretrain numbers classes by their sorted folders.
assert fine_tune in ('all', 'lora', 'head'), f"fine_tune = {fine_tune!r}: expected 'all', 'lora' or 'head'"
assert augment in ('none', 'light', 'strong'), f"augment = {augment!r}: expected 'none', 'light' or 'strong'"
metainfo = dict(classes=(classes,) if isinstance(classes, str) else tuple(classes if train_list else sorted(classes)))
num_classes = len(metainfo['classes'])
data_preprocessor = dict(num_classes=num_classes)

# Centre crop of 7/8 of the short side, as most ImageNet recipes have (gcvit_t_in1k tests on the whole side).
test_resize = dict(_base_.test_resize, scale=round(image_size * 8 / 7))
test_resizes = [test_resize, dict(type='CenterCrop', crop_size=image_size)]
# Colours and erased parts only where asked for, as colours may distinguish the classes.
strong = [
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
    dict(type='RandomErasing', erase_prob=0.25, mode='rand'),
]
train_pipeline = [
    _base_.load,
    *(test_resizes if augment == 'none' else [dict(_base_.crop, scale=image_size, crop_ratio_range=(0.35, 1.0))]),
    *([_base_.flip] if flip and augment != 'none' else []),
    *(strong if augment == 'strong' else []),
    _base_.pack,
]
test_pipeline = [_base_.load, *test_resizes, _base_.pack]
dataset = dict(_delete_=True, type='CustomDataset', data_root=data_root, metainfo=metainfo)
loading = dict(num_workers=workers, persistent_workers=workers > 0)
train_dataset = dict(**dataset, data_prefix=train_images, ann_file=train_list, pipeline=train_pipeline)
val_dataset = dict(**dataset, data_prefix=val_images, ann_file=val_list, pipeline=test_pipeline)
test_dataset = val_dataset
if test_images is not None:
    test_dataset = dict(val_dataset, data_prefix=test_images, ann_file=test_list)
train_dataloader = dict(**loading, batch_size=batch_size, dataset=train_dataset)
val_dataloader = dict(**loading, batch_size=32, dataset=val_dataset)
test_dataloader = dict(**loading, batch_size=32, dataset=test_dataset)
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator

# Without ImageNet's Mixup and CutMix.
model = dict(
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        **dict(all={}, lora=dict(lora_rank=8), head=dict(frozen_stages=4))[fine_tune],
    ),
    head=dict(num_classes=num_classes),
    train_cfg=None,
)

# About a dozen validations and checkpoints.
interval = max(1, max_epochs // 12)
train_cfg = dict(max_epochs=max_epochs, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval, save_best='auto'), logger=dict(interval=10))
default_hooks['val_loss'] = dict(type='mmgcvit.ValLossHook')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=True, end=min(2, max_epochs), convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=True, end=max_epochs, convert_to_iter_based=True),
]
optim_wrapper = dict(accumulative_counts=1, optimizer=dict(lr=lr))
custom_hooks = [
    # EMA over the last tenth of the run so far, at most 500 steps; the recipe's is over 5,000.
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.002, gamma=10, priority='ABOVE_NORMAL'),
]
auto_scale_lr = dict(enable=lr_batch_size is not None, base_batch_size=lr_batch_size or batch_size)
randomness = dict(seed=None)
