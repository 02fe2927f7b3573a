"""Mask R-CNN, GC ViT-S, COCO 2017, 36 epochs.

A training step with 2 images peaks at 13.1 GB in float32, 8.3 GB in bf16 (H200,
docs/performance.md).
"""

_base_ = 'mask_rcnn_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_small.pth.tar'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(checkpoint=released)),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
