"""A small Mask2Former for semantic segmentation: the parts of mask2former.py in mmseg's EncoderDecoder."""

_base_ = 'mask2former.py'

default_scope = 'mmseg'
custom_imports = dict(imports=['mmgcvit', 'mmgcvit.mmdet_fixes'])
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(128, 128)), dict(type='PackSegInputs')]
test_dataloader = dict(dataset=dict(type='BaseSegDataset', pipeline=test_pipeline))
detector = _base_.model
model = dict(
    _delete_=True,
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=detector.data_preprocessor.mean,
        std=detector.data_preprocessor.std,
        bgr_to_rgb=True,
        size=(128, 128),
        test_cfg=dict(size_divisor=32),
    ),
    backbone=detector.backbone,
    decode_head={**detector.panoptic_head, 'num_classes': 10, 'train_cfg': detector.train_cfg},
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
