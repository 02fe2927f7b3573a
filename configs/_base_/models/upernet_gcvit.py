"""UPerNet on GC ViT-T, with an auxiliary FCN head on stage 3."""

loss = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
head = dict(
    dropout_ratio=0.1,
    num_classes=150,
    norm_cfg=dict(type='SyncBN', requires_grad=True),
    align_corners=False,
    loss_decode=loss,
)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
        test_cfg=dict(size=(32, 32)),  # pads only images with a shorter side
    ),
    backbone=dict(type='mmgcvit.GCViT', arch='tiny', window_size=24, drop_path_rate=0.3),
    decode_head=dict(
        head,
        type='UPerHead',
        in_channels=[64, 128, 256, 512],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=512,
    ),
    auxiliary_head=dict(
        head,
        type='FCNHead',
        in_channels=256,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        loss_decode=dict(loss, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
del head, loss
