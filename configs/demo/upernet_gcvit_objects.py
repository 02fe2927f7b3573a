"""UPerNet on the demo's small GC ViT, trained on scenes of free objects. Its weights are in the
folder weights.

Differs from upernet_gcvit_digits.py only in data, schedule and equal weights of the classes, and
starts from the backbone of mask_rcnn_gcvit_objects.py, whose data it takes. The training takes 18
minutes on one core.

Run:  mmgcvit train configs/demo/upernet_gcvit_objects.py
"""

_base_ = 'upernet_gcvit_digits.py'

# Data
classes = ('background', 'object')
metainfo = dict(_delete_=True, classes=classes, palette=[(0, 0, 0), (255, 200, 40)])
load = dict(type='LoadAnnotations')
random_resize = dict(_base_.random_resize, scale=(512, 128))
crop = dict(type='RandomCrop', crop_size=(128, 128))
train_pipeline = [_base_.load_image, load, random_resize, crop, _base_.flip, _base_.pack]
test_pipeline = [_base_.load_image, dict(_base_.resize, scale=(512, 128)), load, _base_.pack]
dataset = dict(data_root='data/objects', metainfo=metainfo, reduce_zero_label=False)
train_prefix = dict(img_path='train', seg_map_path='maps/train')
val_prefix = dict(img_path='val', seg_map_path='maps/val')
train_dataloader = dict(dataset=dict(**dataset, data_prefix=train_prefix, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**dataset, data_prefix=val_prefix, pipeline=test_pipeline))
test_dataloader = val_dataloader
tta_resizes = [dict(_base_.resize, scale=(4 * side, side)) for side in (112, 128, 144)]
tta_transforms = [tta_resizes, [dict(type='RandomFlip', prob=0.0)], [load], [_base_.pack]]
tta_pipeline = [_base_.load_image, dict(type='TestTimeAug', transforms=tta_transforms)]

weights = __import__('mmgcvit').get_config_path('demo/weights/mask_rcnn_gcvit_objects.safetensors')
model = dict(
    backbone=dict(init_cfg=dict(checkpoint=weights)),
    decode_head=dict(
        num_classes=2, loss_decode=dict(class_weight=None, reduction='mean', loss_weight=1.0)
    ),
    auxiliary_head=dict(
        num_classes=2, loss_decode=dict(class_weight=None, reduction='mean', loss_weight=0.4)
    ),
)

# Schedule
max_iters = 4000
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = [
    dict(_base_.digits.warmup, end=200),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=200, end=max_iters),
]
custom_hooks = [dict(type='EMAHook', momentum=0.005)]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=1000))
