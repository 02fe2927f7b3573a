"""Cityscapes at data/cityscapes/: random crops of 512x1024 px in training, whole images in tests;
mmseg's.
"""

_base_ = 'ade20k_512.py'

dataset_type = 'CityscapesDataset'
data_root = 'data/cityscapes/'
crop = dict(_base_.crop, crop_size=(512, 1024))
load = dict(type='LoadAnnotations')
choose_size = dict(
    type='RandomChoiceResize',
    scales=[1024 * tenth // 10 for tenth in range(5, 21)],
    resize_type='ResizeShortestEdge',
    max_size=4096,
)
resize = dict(_base_.resize, scale=(2048, 1024))
train_pipeline = [
    _base_.load_image,
    load,
    choose_size,
    crop,
    _base_.flip,
    _base_.colours,
    _base_.pack,
]
test_pipeline = [_base_.load_image, resize, load, _base_.pack]
dataset = dict(type=dataset_type, data_root=data_root)
train_prefix = dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train')
val_prefix = dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val')
train_dataloader = dict(dataset=dict(**dataset, data_prefix=train_prefix, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**dataset, data_prefix=val_prefix, pipeline=test_pipeline))
test_dataloader = val_dataloader
tta_transforms = [_base_.tta_resizes, _base_.tta_flips, [load], [_base_.pack]]
tta_pipeline = [_base_.load_image, dict(type='TestTimeAug', transforms=tta_transforms)]
