"""DINO with 4 scales, GC ViT-T, COCO 2017, 12 epochs with a step after 11."""

_base_ = [
    '_base_/models/dino_gcvit.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/dino_36e_adamw.py',
    '_base_/runtime_det.py',
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)))

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [_base_.warmup, dict(_base_.steps, end=max_epochs, milestones=[11])]
