"""COCO 2017 with boxes at data/coco/, augmented as in DETR.

Half of the images are resized; the other half are resized, cropped and resized again. DETR does not
limit the long side in the second half's first resize; mmdet writes this as 4200 px.
coco_instance.py says 1333.
"""

dataset_type = 'CocoDataset'
data_root = 'data/coco/'

meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
short_sides = [(side, 1333) for side in range(480, 801, 32)]
# Parts of the pipelines, for this config and those based on it.
load_image = [
    dict(type='LoadImageFromFile'),
    dict(type='mmgcvit.ApplyExifAsAnnotated'),
]
load_boxes = dict(type='LoadAnnotations', with_bbox=True)
flip = dict(type='RandomFlip', prob=0.5)
resize = dict(type='RandomChoiceResize', scales=short_sides, keep_ratio=True)
resize_before_crop = dict(resize, scales=[(400, 4200), (500, 4200), (600, 4200)])
crop = dict(
    type='RandomCrop', crop_type='absolute_range', crop_size=(384, 600), allow_negative_crop=True
)
filter_and_pack = [
    dict(type='FilterAnnotations', min_gt_bbox_wh=(0, 0), keep_empty=False),
    dict(type='PackDetInputs'),
]
test_resize = dict(type='Resize', scale=(1333, 800), keep_ratio=True)
test_pack = dict(type='PackDetInputs', meta_keys=meta_keys)

train_pipeline = [
    *load_image,
    load_boxes,
    flip,
    dict(type='RandomChoice', transforms=[[resize], [resize_before_crop, crop, resize]]),
    *filter_and_pack,
]
test_pipeline = [*load_image, test_resize, load_boxes, test_pack]

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=False, min_size=32),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/instances_val2017.json',
    metric='bbox',
)
test_evaluator = val_evaluator

tta_model = dict(
    type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.7), max_per_img=300)
)
tta_pipeline = [
    *load_image,
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=scale, keep_ratio=True)
                for scale in ((1333, 640), (1333, 800), (1600, 960))
            ],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [load_boxes],
            [dict(type='PackDetInputs', meta_keys=(*meta_keys, 'flip', 'flip_direction'))],
        ],
    ),
]
