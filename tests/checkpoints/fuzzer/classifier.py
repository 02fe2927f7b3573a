"""The toy's network as a classifier of mmpretrain, to predict with."""

_base_ = 'config.py'

default_scope = 'mmpretrain'
model = dict(
    _delete_=True,
    type='ImageClassifier',
    backbone={{_base_.backbone}},
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=32),
)
data_preprocessor = dict(mean=[0, 0, 0], std=[255, 255, 255])
dataset = dict(
    _delete_=True,
    type='CustomDataset',
    metainfo=dict(classes=('one', 'two', 'three')),
    pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
)
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dataset)
