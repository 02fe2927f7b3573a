"""A small FCN on GC ViT for a test of the tools with mmseg. DIGITS names the data."""

default_scope = 'mmseg'
custom_imports = dict(imports=['mmgcvit'], allow_failed_imports=False)

classes = ('background', *'0123456789')
palette = [(20 * i, 255 - 20 * i, 128) for i in range(11)]
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 64)),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(side, side)) for side in (48, 64)],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]


def loader(folder, shuffle):
    return dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='InfiniteSampler' if shuffle else 'DefaultSampler', shuffle=shuffle),
        dataset=dict(
            type='BaseSegDataset',
            reduce_zero_label=True,
            img_suffix='.jpg',
            seg_map_suffix='.png',
            metainfo=dict(classes=classes, palette=palette),
            data_root='{{$DIGITS:data/digits}}/ADEChallengeData2016',
            data_prefix=dict(img_path=f'images/{folder}', seg_map_path=f'annotations/{folder}'),
            pipeline=pipeline,
        ),
    )


train_dataloader = loader('training', True)
val_dataloader = loader('validation', False)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        seg_pad_val=255,
        size=(64, 64),
    ),
    backbone=dict(
        type='mmgcvit.GCViT',
        arch=dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), mlp_ratio=2),
        out_indices=(1,),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=32,
        in_index=0,
        channels=16,
        num_convs=1,
        num_classes=11,
        norm_cfg=dict(type='SyncBN'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
train_cfg = dict(type='mmgcvit.IterBasedTrainLoop', max_iters=2, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='mmgcvit.AtomicCheckpointHook', by_epoch=False, interval=2),
    exact_resume=dict(type='mmgcvit.ExactResumeHook'),
    visualization=dict(type='mmgcvit.ValVisualizationHook'),
)
log_processor = dict(by_epoch=False)
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
