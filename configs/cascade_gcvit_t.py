"""Cascade Mask R-CNN, GC ViT-T, COCO 2017, 36 epochs. Paper: box AP 51.6, mask AP 44.6 (table 2).

A training step with 2 images peaks at 10.7 GB in float32, 6.9 GB in bf16 (H200,
docs/performance.md).
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn_gcvit.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/coco_36e_adamw.py',
    '_base_/runtime_det.py',
]
