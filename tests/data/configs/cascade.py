"""A small Cascade Mask R-CNN on GC ViT, of the parts of configs/cascade_gcvit_t.py. DIGITS names the data."""

_base_ = '../../../configs/cascade_gcvit_t.py'

data_root = '{{$DIGITS:data/digits}}/coco/'
metainfo = dict(classes=tuple('0123456789'))
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
dataset = dict(data_root=data_root, metainfo=metainfo, pipeline=pipeline)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dataset)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator

heads = [
    {**head, 'in_channels': 32, 'conv_out_channels': 32, 'fc_out_channels': 64, 'num_classes': 10}
    for head in _base_.box_heads
]
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), mlp_ratio=2),
        window_size=4,
        init_cfg=None,
    ),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32, finest_scale=28),
        bbox_head=heads,
        mask_roi_extractor=dict(out_channels=32, finest_scale=28),
        mask_head=dict(num_convs=1, in_channels=32, conv_out_channels=32, num_classes=10),
    ),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=50), rcnn=dict(max_per_img=20)),
)
train_cfg = dict(max_epochs=1, val_interval=1)
param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
