"""Cascade Mask R-CNN, GC ViT-S, COCO 2017, 36 epochs. Paper: box AP 52.4, mask AP 45.4 (table 2).

A training step with 2 images peaks at 14.6 GB in float32, 9.4 GB in bf16 (H200,
docs/performance.md).
"""

_base_ = 'cascade_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_small.pth.tar'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(checkpoint=released)),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
