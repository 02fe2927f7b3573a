"""The demo classifier for a test of the tools: images in class folders, one epoch.

DIGITS names the data.
"""

_base_ = '../../../configs/demo/gcvit_digits_cls.py'

pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 64)),
    dict(type='PackInputs'),
]
dataset = dict(
    _delete_=True,
    type='CustomDataset',
    data_root='{{$DIGITS:data/digits}}/classes',
    pipeline=pipeline,
)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dataset)
val_dataloader = test_dataloader = train_dataloader
train_cfg = dict(max_epochs=1, val_interval=1)
param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
custom_hooks = []
default_hooks = dict(checkpoint=dict(interval=1))
model = dict(data_preprocessor=_base_.data_preprocessor)
