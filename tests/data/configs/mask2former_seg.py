"""A small Mask2Former for semantic segmentation: the parts of the demo's in mmseg's EncoderDecoder."""

_base_ = '../../../configs/_base_/models/mask2former_gcvit_seg.py'

default_scope = 'mmseg'
custom_imports = dict(imports=['mmgcvit', 'mmgcvit.fixes.mmdet'])
small = __import__('mmengine').Config.fromfile(
    '{{ fileDirname }}/../../../configs/demo/mask2former_gcvit_digits.py'
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128)),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    dataset=dict(type='BaseSegDataset', metainfo=small.metainfo, pipeline=test_pipeline)
)
head = {**small.model.panoptic_head, 'num_classes': 10, 'train_cfg': small.model.train_cfg}
head['transformer_decoder'] = {**head['transformer_decoder'], 'num_layers': 2}
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(_delete_=True, **small.model.backbone),
    decode_head=dict(_delete_=True, **head),
)
del small
