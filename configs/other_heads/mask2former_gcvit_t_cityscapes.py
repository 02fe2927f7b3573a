"""Mask2Former, GC ViT-T, semantic segmentation of Cityscapes, 90,000 iterations.

mmseg's mask2former_swin-t_8xb2-90k_cityscapes-512x1024 with another backbone.
"""

_base_ = [
    '../_base_/models/mask2former_gcvit_seg.py',
    '../_base_/datasets/cityscapes_512x1024.py',
    '../_base_/schedules/mask2former_160k_adamw.py',
    '../_base_/runtime_seg.py',
]

custom_imports = dict(imports=['mmgcvit', 'mmgcvit.fixes.mmdet', 'mmgcvit.fixes.mmseg'])
default_hooks = dict(checkpoint=dict(interval=5000))

max_iters = 90_000
train_cfg = dict(max_iters=max_iters)
param_scheduler = [dict(_base_.poly, end=max_iters)]

num_classes = 19
model = dict(
    data_preprocessor=dict(size=(512, 1024)),
    decode_head=dict(
        num_classes=num_classes, loss_cls=dict(class_weight=[1.0] * num_classes + [0.1])
    ),
)
