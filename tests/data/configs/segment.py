"""The demo segmentor for a test of the tools: a few small images, two iterations.

DIGITS names the data.
"""

_base_ = '../../../configs/demo/upernet_gcvit_digits.py'

scale = (64, 64)
sized = dict(Resize=dict(type='Resize', scale=scale))
dataset = dict(
    data_root='{{$DIGITS:data/digits}}/ADEChallengeData2016',
    pipeline=[sized.get(step.type, step) for step in _base_.test_pipeline],
)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dataset)
val_dataloader = test_dataloader = train_dataloader
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].transforms[0] = [dict(type='Resize', scale=(side, side)) for side in (48, 64)]
train_cfg = dict(max_iters=2, val_interval=2)
param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
custom_hooks = []
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
model = dict(data_preprocessor=dict(size=scale), backbone=dict(init_cfg=None))
