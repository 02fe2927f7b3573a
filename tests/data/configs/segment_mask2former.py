"""A small Mask2Former for semantic segmentation: the head of mask2former_seg.py on the data of
segment.py.
"""

_base_ = './segment.py'

small = __import__('mmengine').Config.fromfile('{{ fileDirname }}/mask2former_seg.py').model
classes = dict(num_classes=11, num_queries=20)
classes['loss_cls'] = {**small.decode_head.loss_cls, 'class_weight': [1.0] * 11 + [0.1]}
model = dict(
    _delete_=True,
    type='EncoderDecoder',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    decode_head={**small.decode_head, **classes},
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
custom_imports = dict(imports=['mmgcvit', 'mmgcvit.fixes.mmdet', 'mmgcvit.fixes.mmseg'])
del small, classes
