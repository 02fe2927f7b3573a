"""RTMDet-Ins, GC ViT-T, instance segmentation of COCO 2017, 100 epochs.

Expected: no figure is published. Not run in full.

Neck, head, losses and pipelines are those of mmdet's rtmdet-ins_l_8xb32-300e_coco; the schedule, with a transformer a
third as long, is that of its rtmdet_l_swin_b_4xb32-100e_coco, which has boxes only: learning rate, total batch, group
norm. Drop path is 0.2 as in GC ViT's other COCO models (there 0.3, of a Swin-B of ImageNet-21K); windows of 16.
"""

_base_ = [
    '../_base_/models/rtmdet_ins_gcvit.py',
    '../_base_/datasets/coco_instance_mosaic.py',
    '../_base_/schedules/rtmdet_100e_adamw.py',
    '../_base_/runtime_det.py',
]

default_hooks = dict(checkpoint=dict(interval=10))
custom_hooks = [
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, update_buffers=True, priority=49),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=_base_.max_epochs - _base_.stage2_epochs,
        switch_pipeline=_base_.train_pipeline_stage2,
    ),
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)))
