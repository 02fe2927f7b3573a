"""Mask2Former on GC ViT-T for the 150 classes of ADE20K: mmseg's head, made of the parts of
mask2former_gcvit.py.
"""

_base_ = 'mask2former_gcvit.py'

num_classes = 150
detector = _base_.model
model = dict(
    _delete_=True,
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
        test_cfg=dict(size_divisor=32),
    ),
    backbone=detector.backbone,
    decode_head={
        **detector.panoptic_head,
        'num_classes': num_classes,
        'loss_cls': {
            **detector.panoptic_head.loss_cls,
            'class_weight': [1.0] * num_classes + [0.1],
        },
        'train_cfg': detector.train_cfg,
    },
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
