"""COCO 2017 with boxes and masks at data/coco/, augmented as in DETR and Sparse R-CNN.

As coco_detection.py, but the first resize of the second half of the images keeps the long side within 1333 px as the
released detection configs do (DETR: no limit), and images without objects are left out.
"""

_base_ = 'coco_detection.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2].with_mask = True
train_pipeline[4].transforms[1][0].scales = [(400, 1333), (500, 1333), (600, 1333)]
test_pipeline = _base_.test_pipeline
test_pipeline[3].with_mask = True
train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=True), pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator

# mmdet's DetTTAModel merges boxes only.
tta_model = tta_pipeline = None
