"""RTMDet-Ins, GC ViT-T, instance segmentation of COCO 2017, 100 epochs.

Model and pipelines of mmdet's rtmdet-ins_l_8xb32-300e_coco, schedule and group norm of its
rtmdet_l_swin_b_4xb32-100e_ coco, with another backbone and its drop path of 0.2, there 0.3.
A training step with 2 images of 800x1333 px peaks at 5.5 GB in float32, 4.4 GB in bf16 (H200,
docs/performance.md).
"""

_base_ = [
    '../_base_/models/rtmdet_ins_gcvit.py',
    '../_base_/datasets/coco_instance_mosaic.py',
    '../_base_/schedules/rtmdet_100e_adamw.py',
    '../_base_/runtime_det.py',
]

default_hooks = dict(checkpoint=dict(interval=10))
custom_hooks = [
    dict(
        type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, update_buffers=True, priority=49
    ),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=_base_.max_epochs - _base_.stage2_epochs,
        switch_pipeline=_base_.train_pipeline_stage2,
    ),
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)))
