"""Mask2Former on GC ViT-T for COCO's 80 kinds of objects: 100 queries, a pixel decoder of 6 layers,
a decoder of 9.

All but the backbone is that of mmdet's mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco, its drop
path too. Types name mmdet, so that mmseg's models can be made of the same parts
(mask2former_gcvit_seg.py).
"""

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
num_classes = 80
attention = dict(embed_dims=256, num_heads=8, dropout=0.0, batch_first=True)
ffn = dict(embed_dims=256, num_fcs=2, ffn_drop=0.0, act_cfg=dict(type='ReLU', inplace=True))
positions = dict(num_feats=128, normalize=True)
model = dict(
    type='Mask2Former',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        non_blocking=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        pad_mask=True,
        batch_augments=[
            dict(
                type='BatchFixedSizePad',
                size=(1024, 1024),
                img_pad_value=0,
                pad_mask=True,
                mask_pad_value=0,
            )
        ],
    ),
    backbone=dict(
        type='mmgcvit.GCViT',
        arch='tiny',
        window_size=16,
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=released),
    ),
    panoptic_head=dict(
        type='Mask2FormerHead',
        in_channels=[64, 128, 256, 512],
        strides=[4, 8, 16, 32],
        feat_channels=256,
        out_channels=256,
        num_things_classes=num_classes,
        num_stuff_classes=0,
        num_queries=100,
        num_transformer_feat_level=3,
        pixel_decoder=dict(
            type='mmgcvit.MSDeformAttnPixelDecoder',
            num_outs=3,
            norm_cfg=dict(type='GN', num_groups=32),
            act_cfg=dict(type='ReLU'),
            encoder=dict(
                num_layers=6,
                layer_cfg=dict(
                    self_attn_cfg=dict(num_levels=3, num_points=4, **attention),
                    ffn_cfg=dict(feedforward_channels=1024, **ffn),
                ),
            ),
            positional_encoding=positions,
        ),
        enforce_decoder_input_project=False,
        positional_encoding=positions,
        transformer_decoder=dict(
            return_intermediate=True,
            num_layers=9,
            layer_cfg=dict(
                self_attn_cfg=attention,
                cross_attn_cfg=attention,
                ffn_cfg=dict(feedforward_channels=2048, **ffn),
            ),
            init_cfg=None,
        ),
        # Of the classes and "no object".
        loss_cls=dict(
            type='mmdet.CrossEntropyLoss',
            use_sigmoid=False,
            loss_weight=2.0,
            reduction='mean',
            class_weight=[1.0] * num_classes + [0.1],
        ),
        loss_mask=dict(
            type='mmdet.CrossEntropyLoss', use_sigmoid=True, reduction='mean', loss_weight=5.0
        ),
        loss_dice=dict(
            type='mmdet.DiceLoss',
            use_sigmoid=True,
            activate=True,
            reduction='mean',
            naive_dice=True,
            eps=1.0,
            loss_weight=5.0,
        ),
    ),
    panoptic_fusion_head=dict(
        type='mmgcvit.MaskFormerFusionHead', num_things_classes=num_classes, num_stuff_classes=0
    ),
    train_cfg=dict(
        num_points=12544,
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        assigner=dict(
            type='mmgcvit.HungarianAssigner',
            match_costs=[
                dict(type='mmdet.ClassificationCost', weight=2.0),
                dict(type='mmdet.CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
                dict(type='mmdet.DiceCost', weight=5.0, pred_act=True, eps=1.0),
            ],
        ),
        sampler=dict(type='mmdet.MaskPseudoSampler'),
    ),
    test_cfg=dict(
        panoptic_on=False, instance_on=True, max_per_image=100, iou_thr=0.8, filter_low_score=True
    ),
)
