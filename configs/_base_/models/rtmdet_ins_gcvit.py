"""RTMDet-Ins on GC ViT-T for COCO's 80 kinds of objects: stages 2 to 4, a pyramid of 256 channels,
a head for masks.

Neck and head are those of mmdet's rtmdet-ins_l_8xb32-300e_coco; group norm, pixels and
checkpointing are those of its rtmdet_l_swin_b_4xb32-100e_coco.
"""

norm_cfg = dict(type='GN', num_groups=32)
act_cfg = dict(type='SiLU', inplace=True)
channels = 256
model = dict(
    type='RTMDet',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        non_blocking=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        # The feature pyramid needs multiples of 32.
        pad_size_divisor=32,
        pad_mask=True,
    ),
    backbone=dict(
        type='mmgcvit.GCViT',
        arch='tiny',
        window_size=16,
        drop_path_rate=0.2,
        out_indices=(1, 2, 3),
        with_cp=True,
    ),
    neck=dict(
        type='CSPNeXtPAFPN',
        in_channels=[128, 256, 512],
        out_channels=channels,
        num_csp_blocks=3,
        expand_ratio=0.5,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
    ),
    bbox_head=dict(
        type='mmgcvit.RTMDetInsSepBNHead',
        num_classes=80,
        in_channels=channels,
        stacked_convs=2,
        share_conv=True,
        pred_kernel_size=1,
        feat_channels=channels,
        act_cfg=act_cfg,
        norm_cfg=norm_cfg,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
        bbox_coder=dict(type='DistancePointBBoxCoder'),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
        loss_mask=dict(type='DiceLoss', loss_weight=2.0, eps=5e-6, reduction='mean'),
    ),
    train_cfg=dict(
        assigner=dict(type='mmgcvit.DynamicSoftLabelAssigner', topk=13, ignore_iof_thr=0.5),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type='nms', iou_threshold=0.6),
        max_per_img=100,
        mask_thr_binary=0.5,
    ),
)
