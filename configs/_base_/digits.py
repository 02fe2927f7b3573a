"""Base of trainings on scanned digits: classes in colours, images of 128 px with masks, a small GC
ViT or LSA.

A config names this file beside the one that it makes small, and takes parts of it:
``backbone=_base_.digits.backbone``.
"""

weights = __import__('mmgcvit').get_config_path('demo/weights/gcvit_digits_cls.safetensors')
digits_classes = dict(
    classes=tuple('0123456789'),
    palette=[
        (255, 99, 71),
        (64, 160, 255),
        (255, 200, 40),
        (80, 220, 120),
        (220, 110, 255),
        (255, 140, 200),
        (60, 230, 230),
        (255, 165, 80),
        (170, 255, 80),
        (150, 150, 255),
    ],
)
# No flips, as mirrored digits are different.
digits_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='PackDetInputs'),
]
digits_test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
coco = 'data/digits/coco/'
digits_data = dict(data_root=coco, metainfo=digits_classes)
digits = dict(
    metainfo=digits_classes,
    train_dataloader=dict(
        batch_size=8, num_workers=2, dataset=dict(**digits_data, pipeline=digits_pipeline)
    ),
    val_dataloader=dict(batch_size=8, dataset=dict(**digits_data, pipeline=digits_test_pipeline)),
    val_evaluator=dict(ann_file=coco + 'annotations/instances_val2017.json'),
    optim_wrapper=dict(optimizer=dict(lr=1.5e-3), clip_grad=dict(max_norm=1.0)),
    warmup=dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    cosine=dict(type='CosineAnnealingLR', by_epoch=True, begin=1, convert_to_iter_based=True),
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=16, depths=(2, 2, 4, 2), num_heads=(1, 2, 4, 8), mlp_ratio=3
        ),
        window_size=(4, 4, 8, 4),
        pretrain_img_size=128,
        drop_path_rate=0.0,
        init_cfg=dict(
            type='Pretrained',
            checkpoint=weights,
        ),
    ),
)
lsa = dict(
    embed_dims=(16, 32, 64, 128),
    depths=(2, 2, 4, 2),
    num_heads=(1, 2, 4, 8),
    kernel_size=4,
    stride=4,
    padding=0,
    shifts=((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (0, 2), (0, -2), (2, 0), (-2, 0)),
    img_size=128,
    drop_path_rate=0.0,
)
del digits_classes, digits_pipeline, digits_test_pipeline, digits_data, coco
