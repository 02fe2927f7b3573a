"""COCO 2017 with panoptic annotations at data/coco/, augmented as coco_instance_lsj.py; as in mmdet's Mask2Former.

Scored by PQ, and objects by AP of masks and boxes. Views at test cannot be merged: mmdet does so for boxes alone.
"""

_base_ = 'coco_instance_lsj.py'

dataset_type = 'CocoPanopticDataset'
data_root = 'data/coco/'
train_pipeline = [step for step in _base_.train_pipeline if step.type != 'FilterAnnotations']
train_pipeline[2] = dict(type='LoadPanopticAnnotations', with_bbox=True, with_mask=True, with_seg=True)
test_pipeline = _base_.test_pipeline
test_pipeline[3] = dict(type='LoadPanopticAnnotations')
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='CocoPanopticMetric',
        ann_file=data_root + 'annotations/panoptic_val2017.json',
        seg_prefix=data_root + 'annotations/panoptic_val2017/',
    ),
    dict(
        type='CocoMetric',
        ann_file=data_root + 'annotations/instances_val2017.json',
        metric=['bbox', 'segm'],
    ),
]
test_evaluator = val_evaluator

tta_model = None
tta_pipeline = None
