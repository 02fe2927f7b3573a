"""The demo detector for a test of the tools: a few images, two short epochs. DIGITS names the data."""

_base_ = '../../../configs/demo/mask_rcnn_gcvit_digits.py'

data_root = '{{$DIGITS:data/digits}}/coco/'
train_cfg = dict(max_epochs=2, val_interval=1)
param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
loader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
train_dataloader = dict(loader, batch_size=4)
val_dataloader = test_dataloader = loader
val_evaluator = test_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
default_hooks = dict(checkpoint=dict(interval=1), val_visualization=dict(score_thr=0.0))
model = dict(backbone=dict(init_cfg=None), test_cfg=dict(rcnn=dict(score_thr=0.0, max_per_img=3)))
