"""Cascade Mask R-CNN, GC ViT-B, COCO 2017, 36 epochs. Paper: box AP 52.9, mask AP 45.8 (table 2).

A training step with 2 images peaks at 18.8 GB in float32, 12.0 GB in bf16 (H200,
docs/performance.md).
"""

_base_ = 'cascade_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    backbone=dict(arch='base', init_cfg=dict(checkpoint=released)),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
