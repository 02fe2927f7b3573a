"""ADE20K at data/ade/ADEChallengeData2016/: random crops of 512x512 px in training, whole images in
tests.
"""

dataset_type = 'ADE20KDataset'
data_root = 'data/ade/ADEChallengeData2016'
crop_size = (512, 512)
scale = (2048, 512)

# Parts of the pipelines, for this config and those based on it.
load_image = dict(type='LoadImageFromFile')
load_annotations = dict(type='LoadAnnotations', reduce_zero_label=True)
random_resize = dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True)
crop = dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75)
flip = dict(type='RandomFlip', prob=0.5)
colours = dict(type='PhotoMetricDistortion')
resize = dict(type='Resize', scale=scale, keep_ratio=True)
pack = dict(type='PackSegInputs')

train_pipeline = [load_image, load_annotations, random_resize, crop, flip, colours, pack]
# Annotations are loaded after resizing, so that scores are for the original size.
test_pipeline = [load_image, resize, load_annotations, pack]

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    train_dataloader,
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='mmgcvit.IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

tta_model = dict(type='SegTTAModel')
tta_flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)]
tta_resizes = [
    dict(type='Resize', scale_factor=part, keep_ratio=True)
    for part in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
]
tta_pipeline = [
    load_image,
    dict(type='TestTimeAug', transforms=[tta_resizes, tta_flips, [load_annotations], [pack]]),
]
