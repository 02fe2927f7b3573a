"""COCO 2017 with boxes and masks at data/coco/ in images of 640 px: four in one, resized to 0.1 to
2 times, two mixed.

As in mmdet's rtmdet-ins_l_8xb32-300e_coco; ``train_pipeline_stage2``, of single images, is for the
last epochs. Which images are put together hangs on those that a worker has loaded before, up to 40:
a resumed run mixes others.
"""

_base_ = 'coco_instance.py'

image_size = (640, 640)
pad = dict(type='Pad', size=image_size, pad_val=dict(img=(114, 114, 114)))
load = [*_base_.load_image, dict(_base_.load_masks, poly2mask=False)]
square_crop = dict(
    type='RandomCrop', crop_size=image_size, recompute_bbox=True, allow_negative_crop=True
)
colours_and_flip = [dict(type='YOLOXHSVRandomAug'), _base_.flip]
filtered = dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1))
train_pipeline = [
    *load,
    dict(type='CachedMosaic', img_scale=image_size, pad_val=114.0),
    dict(type='RandomResize', scale=(1280, 1280), ratio_range=(0.1, 2.0), keep_ratio=True),
    square_crop,
    *colours_and_flip,
    pad,
    dict(
        type='CachedMixUp',
        img_scale=image_size,
        ratio_range=(1.0, 1.0),
        max_cached_images=20,
        pad_val=(114, 114, 114),
    ),
    filtered,
    dict(type='PackDetInputs'),
]
train_pipeline_stage2 = [
    *load,
    dict(type='RandomResize', scale=image_size, ratio_range=(0.1, 2.0), keep_ratio=True),
    square_crop,
    filtered,
    *colours_and_flip,
    pad,
    dict(type='PackDetInputs'),
]
test_pipeline = [
    *_base_.load_image,
    dict(type='Resize', scale=image_size, keep_ratio=True),
    pad,
    _base_.load_masks,
    _base_.test_pack,
]
train_dataloader = dict(
    batch_size=16, num_workers=10, batch_sampler=None, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(batch_size=5, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
