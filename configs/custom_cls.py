"""GC ViT classifier, fine-tuned on your own class folders. docs/templates.md says how.

Run:  python tools/train.py configs/custom_cls.py            (one GPU)
      tools/dist_train.sh configs/custom_cls.py 8            (several)

Copy this file within configs/ and change the first lines.
"""

# The network: gcvit_xxt_in1k.py, gcvit_t_in1k.py, and so on; for a CPU: demo/gcvit_digits_cls.py
# and pretrained = None.
_base_ = 'gcvit_t_in1k.py'

# The data folder; inside it, class folders. None: test on the validation images.
data_root = 'data/my_dataset'
train_images = 'train'
val_images = 'val'
test_images = None
# Lists of image names and labels, or '': all images.
train_list = ''
val_list = ''
test_list = ''
# The classes: the folders' names, in any order; with lists, in the order of the labels.
classes = ('cat', 'dog')
# Side of the square images in pixels: a random crop in training, the centre in tests.
image_size = 224
# True: tests see the whole image, squeezed into the square, and training random crops of that.
whole = False
# The smallest part of an image that a random crop in training has.
min_crop = 0.35
# Strips into which the head divides each of the four feature maps, in rows and in columns, or None:
# global average pooling of the last map. Strips keep where something is, and fine structures.
num_strips = None
# Epochs.
max_epochs = 30
# Images in an iteration on each GPU, and processes that load them.
batch_size = 32
workers = 4
# The learning rate. With an lr_batch_size, for example 32, it is for this batch size, and scaled to
# the effective one: in proportion, which is too much for AdamW on many GPUs.
lr = 1e-4
lr_batch_size = None
# 'none': resizing only; 'light': also random crops and flips; 'strong': also colours and erased
# parts.
augment = 'light'
flip = True
# Images with rare classes are repeated (mmengine's ClassBalancedDataset): those of classes in under
# this part of the images, for example 0.1, or None.
oversample_thr = None
# Backbone weights: a file, a URL, timm://gcvit_tiny, or None. Those at huggingface.co/nvidia
# are the authors', under CC BY-NC-SA 4.0: not for commercial use.
pretrained = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
# A model to start from, for example a classifier of these classes, or None.
load_from = None
# What is trained of the backbone: 'all', 'lora' (low-rank matrices beside its linear layers, and its
# output norms) or nothing ('head').
fine_tune = 'all'

# Derived from the settings above. Without lists, mmpretrain numbers classes by their sorted
# folders.
__import__('mmgcvit').check_choices(fine_tune=fine_tune, augment=augment)
metainfo = dict(
    classes=(classes,)
    if isinstance(classes, str)
    else tuple(classes if train_list else sorted(classes))
)
num_classes = len(metainfo['classes'])
data_preprocessor = dict(num_classes=num_classes)

# Centre crop of 7/8 of the short side, as most ImageNet recipes have (gcvit_t_in1k tests on the
# whole side).
test_resize = dict(_base_.test_resize, scale=round(image_size * 8 / 7))
test_resizes = [test_resize, dict(type='CenterCrop', crop_size=image_size)]
random_crops = [dict(_base_.crop, scale=image_size, crop_ratio_range=(min_crop, 1.0))]
if whole:
    squeeze = dict(type='Resize', backend='pillow', interpolation='bicubic')
    test_resizes = [dict(squeeze, scale=(image_size, image_size))]
    # Crops are cut out of a larger square, so that they are enlarged less.
    crop_side = round(image_size * 1.25)
    random_crops = [dict(squeeze, scale=(crop_side, crop_side)), *random_crops]
# Colours and erased parts only where asked for, as colours may distinguish the classes.
strong = [
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
    dict(type='RandomErasing', erase_prob=0.25, mode='rand'),
]
train_pipeline = [
    _base_.load,
    *(test_resizes if augment == 'none' else random_crops),
    *([_base_.flip] if flip and augment != 'none' else []),
    *(strong if augment == 'strong' else []),
    _base_.pack,
]
test_pipeline = [_base_.load, *test_resizes, _base_.pack]
dataset = dict(_delete_=True, type='CustomDataset', data_root=data_root, metainfo=metainfo)
loading = dict(num_workers=workers, persistent_workers=workers > 0)
train_dataset = dict(
    **dataset, data_prefix=train_images, ann_file=train_list, pipeline=train_pipeline
)
if oversample_thr:
    del train_dataset['_delete_']
    train_dataset = dict(
        _delete_=True,
        type='ClassBalancedDataset',
        oversample_thr=oversample_thr,
        dataset=train_dataset,
    )
val_dataset = dict(**dataset, data_prefix=val_images, ann_file=val_list, pipeline=test_pipeline)
test_dataset = val_dataset
if test_images is not None:
    test_dataset = dict(val_dataset, data_prefix=test_images, ann_file=test_list)
train_dataloader = dict(**loading, batch_size=batch_size, drop_last=False, dataset=train_dataset)
val_dataloader = dict(**loading, batch_size=32, dataset=val_dataset)
test_dataloader = dict(**loading, batch_size=32, dataset=test_dataset)
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator

# Without ImageNet's Mixup and CutMix.
model = dict(
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        frozen_stages=4 if fine_tune == 'head' else -1,
        **(dict(lora_rank=8) if fine_tune == 'lora' else {}),
    ),
    head=dict(num_classes=num_classes),
    train_cfg=None,
)
if num_strips:
    # Each stage has twice as many channels as the one before.
    arch = _base_.model.backbone.arch
    is_named = isinstance(arch, str)
    dims = __import__('mmgcvit').GCViT.archs[arch].embed_dims if is_named else arch['embed_dims']
    strip_channels = [2 * num * dims * 2**i for i, num in enumerate(num_strips)]
    model['backbone']['out_indices'] = (0, 1, 2, 3)
    model['neck'] = dict(_delete_=True, type='mmgcvit.StripPooling', num_strips=num_strips)
    model['head']['in_channels'] = sum(strip_channels)

# About a dozen validations and checkpoints.
interval = max(1, max_epochs // 12)
train_cfg = dict(max_epochs=max_epochs, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval, save_best='auto'), logger=dict(interval=10))
default_hooks['val_loss'] = dict(type='mmgcvit.ValLossHook')
param_scheduler = [
    dict(_base_.warmup, start_factor=0.001, end=min(2, max_epochs)),
    dict(_base_.cosine, eta_min=0.0, begin=0, end=max_epochs),
]
optim_wrapper = dict(optimizer=dict(lr=lr))
custom_hooks = [
    # EMA over the last tenth of the run so far, at most 500 steps; the recipe's is over 5,000.
    dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=0.002,
        gamma=10,
        priority='ABOVE_NORMAL',
    ),
]
auto_scale_lr = dict(enable=lr_batch_size is not None, base_batch_size=lr_batch_size)
randomness = dict(seed=None)
