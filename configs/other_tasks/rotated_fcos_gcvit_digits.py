"""Scanned digits at any angle in boxes at theirs: FCOS on a small GC ViT, minutes on a CPU. Needs mmrotate.

Differs from rotated_fcos_gcvit_t.py only in data, sizes, schedule, and the weights it starts from: the classifier's of
../demo/gcvit_digits_cls.py.

Run:  mmgcvit digits data/turned_digits --turn 60
      mmgcvit train configs/other_tasks/rotated_fcos_gcvit_digits.py
"""

_base_ = ['rotated_fcos_gcvit_t.py', '../_base_/digits.py']

# Data
data_root = 'data/turned_digits/'
metainfo = _base_.digits.metainfo
scale = (128, 128)
boxes = [
    dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
    dict(type='ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
]
# Digits are not the same mirrored: no flips.
train_pipeline = [
    dict(type='mmdet.LoadImageFromFile'),
    *boxes,
    dict(type='mmdet.Resize', scale=scale, keep_ratio=True),
    dict(type='mmdet.PackDetInputs'),
]
val_pipeline = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=scale, keep_ratio=True),
    *boxes,
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
of_digits = dict(data_root=data_root, metainfo=metainfo, img_suffix='jpg')
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        ann_file='dota/train/', data_prefix=dict(img_path='coco/train2017/'), pipeline=train_pipeline, **of_digits
    ),
)
val_dataloader = dict(
    batch_size=8,
    dataset=dict(ann_file='dota/val/', data_prefix=dict(img_path='coco/val2017/'), pipeline=val_pipeline, **of_digits),
)
test_dataloader = val_dataloader

# Sizes
model = dict(
    backbone=dict(_base_.digits.backbone, out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=64, num_outs=4),
    bbox_head=dict(
        num_classes=10,
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        strides=[4, 8, 16, 32],
        regress_ranges=((-1, 16), (16, 32), (32, 64), (64, 1e8)),
    ),
    test_cfg=dict(nms_pre=400, max_per_img=100),
)

# Schedule
max_epochs = 10
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end=max_epochs, convert_to_iter_based=True),
]
# At the whole rate: the backbone has seen digits upright only.
optim_wrapper = dict(optimizer=dict(lr=1.5e-3), paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=1.0))))
custom_hooks = [dict(type='EMAHook', momentum=0.02)]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=max_epochs))
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=8)
