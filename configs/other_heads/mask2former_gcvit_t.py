"""Mask2Former, GC ViT-T, instance segmentation of COCO 2017, 50 epochs.

mmdet's mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco with another backbone.
"""

_base_ = [
    '../_base_/models/mask2former_gcvit.py',
    '../_base_/datasets/coco_instance_lsj.py',
    '../_base_/schedules/mask2former_50e_adamw.py',
    '../_base_/runtime_det.py',
]

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000))
log_processor = dict(by_epoch=False)
