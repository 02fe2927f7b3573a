"""UPerNet, GC ViT-S, ADE20K, 160,000 iterations. Paper: mIoU 48.3 (table 4). Windows of 24:
docs/recipes.md.

A training step with 2 images peaks at 6.9 GB in float32 (H200, docs/performance.md).
"""

_base_ = 'upernet_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_small.pth.tar'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(checkpoint=released)),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
