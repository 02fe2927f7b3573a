"""Mask R-CNN, GC ViT-T, fine-tuned on your own data in COCO format. docs/custom_dataset.md says how.

Run:  python tools/train.py configs/custom_coco.py            (one GPU)
      tools/dist_train.sh configs/custom_coco.py 8            (several; the learning rate follows the number)

Copy this file within configs/ and change the first lines. Without masks: custom_coco_boxonly.py.
"""

_base_ = 'mask_rcnn_gcvit_t.py'

# The data folder; inside it, the annotation files and the image folders.
data_root = 'data/my_dataset'
train_annotations = 'annotations/train.json'
val_annotations = 'annotations/val.json'
train_images = 'train/'
val_images = 'val/'
# The classes, with the names and order of the categories in the annotation files.
classes = ('cat', 'dog')
# Short side of the images in pixels (random smaller sizes in training); the long side is at most 5/3 of it.
image_size = 800
# Epochs. Small datasets need more: 50 for a hundred images.
max_epochs = 12
# Copy-paste: paste objects of other images, cut out by their masks, into training images.
copy_paste = False
# Backbone weights: a file, a URL, timm://gcvit_tiny, or None. These are the authors', under CC
# BY-NC-SA 4.0: not for commercial use.
pretrained = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
# A detector to start from, for example one trained on COCO, or None.
load_from = None
# What is trained of the backbone: 'all', 'lora' (low-rank updates of its attention) or nothing ('head').
fine_tune = 'all'

# Derived from the settings above.
assert fine_tune in ('all', 'lora', 'head'), f"fine_tune = {fine_tune!r}: expected 'all', 'lora' or 'head'"
metainfo = dict(classes=(classes,) if isinstance(classes, str) else classes, palette=None)
num_classes = len(metainfo['classes'])
long_side = image_size * 5 // 3

resize = dict(_base_.resize, scales=[(long_side, image_size * part // 25) for part in range(15, 26)])
resize_before_crop = dict(_base_.resize, scales=[(long_side, image_size * part // 8) for part in (4, 5, 6)])
crop = dict(_base_.crop, crop_size=(image_size * 12 // 25, image_size * 3 // 4))
load = [*_base_.load_image, _base_.load_masks]
train_pipeline = [
    *load,
    _base_.flip,
    dict(type='RandomChoice', transforms=[[resize], [resize_before_crop, crop, resize]]),
    *_base_.filter_and_pack,
]
test_resize = dict(_base_.test_resize, scale=(long_side, image_size))
test_pipeline = [*_base_.load_image, test_resize, _base_.load_masks, _base_.test_pack]

dataset = dict(data_root=data_root, metainfo=metainfo)
# Images without objects are background.
train_dataset = dict(
    **dataset,
    ann_file=train_annotations,
    data_prefix=dict(img=train_images),
    filter_cfg=None,
    pipeline=train_pipeline,
)
# For each image and those whose objects are pasted into it.
pasted = [
    *load,
    _base_.flip,
    dict(type='RandomResize', scale=(image_size, image_size), ratio_range=(0.5, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(image_size, image_size), allow_negative_crop=True),
    dict(type='Pad', size=(image_size, image_size)),
]
if copy_paste:
    train_dataset = dict(
        _delete_=True,
        type='MultiImageMixDataset',
        dataset=dict(_base_.train_dataloader.dataset, **dict(train_dataset, pipeline=pasted)),
        pipeline=[dict(type='CopyPaste'), *_base_.filter_and_pack],
    )
train_dataloader = dict(dataset=train_dataset)
val_dataloader = dict(
    dataset=dict(**dataset, ann_file=val_annotations, data_prefix=dict(img=val_images), pipeline=test_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f'{data_root}/{val_annotations}')
test_evaluator = val_evaluator

model = dict(
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        **dict(all={}, lora=dict(lora_rank=8), head=dict(frozen_stages=4))[fine_tune],
    ),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)

# About a dozen validations and checkpoints; the learning rate drops after 2/3 and 11/12 of the run.
interval = max(1, max_epochs // 12)
milestones = sorted({max(1, max_epochs * 2 // 3), max(1, max_epochs * 11 // 12)})
train_cfg = dict(max_epochs=max_epochs, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=True, end=min(2, max_epochs), convert_to_iter_based=True),
    dict(type='MultiStepLR', gamma=0.1, by_epoch=True, end=max_epochs, milestones=milestones),
]
# The learning rate is for a batch size of 16; one GPU with 2 images uses an eighth of it.
auto_scale_lr = dict(enable=True)
