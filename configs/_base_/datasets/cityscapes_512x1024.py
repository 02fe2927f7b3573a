"""Cityscapes at data/cityscapes/: random crops of 512x1024 px in training, whole images in tests; mmseg's."""

_base_ = 'ade20k_512.py'

dataset_type = 'CityscapesDataset'
data_root = 'data/cityscapes/'
crop_size = (512, 1024)
replaced = dict(
    LoadAnnotations=dict(type='LoadAnnotations'),
    RandomResize=dict(
        type='RandomChoiceResize',
        scales=[1024 * tenth // 10 for tenth in range(5, 21)],
        resize_type='ResizeShortestEdge',
        max_size=4096,
    ),
    RandomCrop=dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    Resize=dict(type='Resize', scale=(2048, 1024), keep_ratio=True),
)
train_pipeline = [replaced.get(step.type, step) for step in _base_.train_pipeline]
test_pipeline = [replaced.get(step.type, step) for step in _base_.test_pipeline]
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=factor, keep_ratio=True) for factor in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)],
            _base_.tta_flips,
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]
