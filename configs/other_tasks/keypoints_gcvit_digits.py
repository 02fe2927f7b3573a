"""The four ends of scanned digits as keypoints: a small GC ViT, minutes on a CPU. Needs mmpose.

Differs from keypoints_gcvit_t.py only in data, sizes, schedule, and the weights it starts from: the classifier's of
../demo/gcvit_digits_cls.py.

Run:  mmgcvit digits data/digits
      mmgcvit train configs/other_tasks/keypoints_gcvit_digits.py
"""

_base_ = 'keypoints_gcvit_t.py'

# Data
codec = dict(type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=1)
data_root = 'data/digits/coco/'
metainfo = dict(
    dataset_name='digits',
    keypoint_info={
        0: dict(name='top', id=0, color=(255, 99, 71), type='', swap=''),
        1: dict(name='bottom', id=1, color=(64, 160, 255), type='', swap=''),
        # In a mirror the left end is the right one.
        2: dict(name='left', id=2, color=(255, 200, 40), type='', swap='right'),
        3: dict(name='right', id=3, color=(80, 220, 120), type='', swap='left'),
    },
    skeleton_info={},
    joint_weights=[1.0] * 4,
    sigmas=[0.05] * 4,
)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        metainfo=metainfo,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        bbox_file=None,
        metainfo=metainfo,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator

# Sizes
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=16, depths=(2, 2, 4, 2), num_heads=(1, 2, 4, 8), mlp_ratio=3),
        window_size=(2, 2, 4, 2),
        drop_path_rate=0.0,
        init_cfg=dict(type='Pretrained', checkpoint='configs/demo/weights/gcvit_digits_cls.safetensors'),
    ),
    head=dict(in_channels=128, out_channels=4, deconv_out_channels=(64, 64, 64), decoder=codec),
)

# Schedule
max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end=max_epochs, convert_to_iter_based=True),
]
optim_wrapper = dict(optimizer=dict(lr=2e-3))
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=max_epochs))
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=64)
