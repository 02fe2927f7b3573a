"""Mask R-CNN on the demo's small GC ViT, trained on scenes of free objects. Its weights are in the
folder weights.

Differs from mask_rcnn_gcvit_digits.py only in data and schedule. The data, 5 minutes on two cores:
tools/make_object_scenes.py says which packages it takes. The training takes about 100 minutes on
one core.

Run:  mmgcvit train configs/demo/mask_rcnn_gcvit_objects.py --progress
"""

_base_ = 'mask_rcnn_gcvit_digits.py'

# Data. One class: with the 81 subcategories of the emoji as classes, as long a training found next
# to nothing.
data_root = 'data/objects/'
classes = ('object',)
metainfo = dict(classes=classes, palette=None)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    _base_.load_masks,
    _base_.flip,
    dict(_base_.resize, scales=[(320, side) for side in (128, 160, 192, 224)]),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(_base_.test_resize, scale=(320, 192)),
    _base_.load_masks,
    _base_.test_pack,
]
train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        metainfo=metainfo,
        filter_cfg=None,  # images without objects are background
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val.json')
test_evaluator = val_evaluator

model = dict(
    backbone=dict(init_cfg=None),
    roi_head=dict(
        bbox_head=dict(num_classes=len(classes)), mask_head=dict(num_classes=len(classes))
    ),
    # Up to 500 objects are found in an image: people count with it.
    test_cfg=dict(rpn=dict(nms_pre=2000, max_per_img=1000), rcnn=dict(max_per_img=500)),
)

# Schedule
max_epochs = 6
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
param_scheduler = [
    dict(_base_.digits.warmup, end=200),
    dict(_base_.digits.cosine, begin=0, end=max_epochs),
]
custom_hooks = [dict(type='EMAHook', momentum=0.005)]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=1))
