"""Mask R-CNN, GC ViT-T, COCO 2017, 36 epochs. Paper: box AP 47.9, mask AP 43.2 (table 2).

A training step with 2 images peaks at 9.2 GB in float32, 5.8 GB in bf16 (H200,
docs/performance.md).
"""

_base_ = [
    '_base_/models/mask_rcnn_gcvit.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/coco_36e_adamw.py',
    '_base_/runtime_det.py',
]

optim_wrapper = dict(type='mmgcvit.AutoPrecisionOptimWrapper', loss_scale='dynamic')
