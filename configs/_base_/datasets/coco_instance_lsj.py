"""COCO 2017 with boxes and masks at data/coco/: resized to 0.1 to 2 times 1024 px, and crops of
that size (LSJ).

As in mmdet's Mask2Former; tests are those of coco_instance.py.
"""

_base_ = 'coco_instance.py'

image_size = (1024, 1024)
train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='mmgcvit.ApplyExifAsAnnotated'),
    _base_.load_masks,
    _base_.flip,
    dict(type='RandomResize', scale=image_size, ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_size=image_size,
        crop_type='absolute',
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-5, 1e-5), by_mask=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
