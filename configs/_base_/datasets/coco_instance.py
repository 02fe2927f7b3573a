"""COCO 2017 with boxes and masks at data/coco/, augmented as in DETR and Sparse R-CNN.

As coco_detection.py, but the first resize of the second half of the images keeps the long side
within 1333 px as the released detection configs do (DETR: no limit), and images without objects are
left out.
"""

_base_ = 'coco_detection.py'

load_masks = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
resize_before_crop = dict(_base_.resize, scales=[(400, 1333), (500, 1333), (600, 1333)])
train_pipeline = [
    *_base_.load_image,
    load_masks,
    _base_.flip,
    dict(
        type='RandomChoice',
        transforms=[[_base_.resize], [resize_before_crop, _base_.crop, _base_.resize]],
    ),
    *_base_.filter_and_pack,
]
test_pipeline = [*_base_.load_image, _base_.test_resize, load_masks, _base_.test_pack]
train_dataloader = dict(
    dataset=dict(filter_cfg=dict(filter_empty_gt=True), pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator

# mmdet's DetTTAModel merges boxes only.
tta_model = tta_pipeline = None
