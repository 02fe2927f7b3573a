"""A small Faster R-CNN, GC ViT with 0.65 M parameters, on your own data in COCO format: minutes on a CPU.

For a first afternoon without a GPU, and for objects as plain as parts on a belt: it starts from the detector of free
objects that comes with this project. docs/first_afternoon.md goes through it. What is to be good wants
custom_coco.py or custom_coco_boxonly.py, and a GPU.

Run:  python tools/train.py configs/custom_coco_small.py

Copy this file within configs/ and change the first lines.
"""

_base_ = 'demo/mask_rcnn_gcvit_digits.py'

# The data folder; inside it, the annotation files and the image folders.
data_root = 'data/my_dataset'
train_annotations = 'annotations/train.json'
val_annotations = 'annotations/val.json'
train_images = 'train/'
val_images = 'val/'
# The classes, with the names and order of the categories in the annotation files.
classes = ('cat', 'dog')
# Short side of the images in pixels (random smaller sizes in training); the long side is at most 5/3 of it.
image_size = 192
# Epochs. Some hundred iterations of eight images are needed.
max_epochs = 40
# Backbone weights: a file, a URL, or None.
pretrained = None
# A detector to start from: the one that comes with this project, or None.
load_from = 'configs/demo/weights/mask_rcnn_gcvit_objects.safetensors'
# What is trained of the backbone: 'all', 'lora' (low-rank updates of its attention) or nothing ('head').
fine_tune = 'all'

# Derived from the settings above.
assert fine_tune in ('all', 'lora', 'head'), f"fine_tune = {fine_tune!r}: expected 'all', 'lora' or 'head'"
metainfo = dict(classes=(classes,) if isinstance(classes, str) else classes, palette=None)
num_classes = len(metainfo['classes'])
long_side = image_size * 5 // 3

train_pipeline = [
    *_base_.load_image,
    _base_.load_boxes,
    _base_.flip,
    dict(_base_.resize, scales=[(long_side, image_size * part // 8) for part in (5, 6, 7, 8)]),
    *_base_.filter_and_pack,
]
test_resize = dict(_base_.test_resize, scale=(long_side, image_size))
test_pipeline = [*_base_.load_image, test_resize, _base_.load_boxes, _base_.test_pack]

dataset = dict(data_root=data_root, metainfo=metainfo)
# Images without objects are background.
train_dataset = dict(
    **dataset,
    ann_file=train_annotations,
    data_prefix=dict(img=train_images),
    filter_cfg=None,
    pipeline=train_pipeline,
)
train_dataloader = dict(batch_size=8, dataset=train_dataset)
val_dataloader = dict(
    batch_size=1,  # images of a batch are padded to the largest, which changes scores
    dataset=dict(**dataset, ann_file=val_annotations, data_prefix=dict(img=val_images), pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(metric='bbox', ann_file=f'{data_root}/{val_annotations}')
test_evaluator = val_evaluator

model = dict(
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        **dict(all={}, lora=dict(lora_rank=8), head=dict(frozen_stages=4))[fine_tune],
    ),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_roi_extractor=None, mask_head=None),
)

# About a dozen validations and checkpoints.
interval = max(1, max_epochs // 12)
train_cfg = dict(max_epochs=max_epochs, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=True, end=min(2, max_epochs), convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, end=max_epochs, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=True)
