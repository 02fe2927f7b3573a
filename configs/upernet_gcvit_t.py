"""UPerNet, GC ViT-T, ADE20K, 160,000 iterations. Paper: mIoU 47.0 (table 4). Windows of 24:
docs/recipes.md.

A training step with 2 images peaks at 5.3 GB in float32 (H200, docs/performance.md).
"""

_base_ = [
    '_base_/models/upernet_gcvit.py',
    '_base_/datasets/ade20k_512.py',
    '_base_/schedules/ade20k_160k_adamw.py',
    '_base_/runtime_seg.py',
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)))
