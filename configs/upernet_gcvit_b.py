"""UPerNet, GC ViT-B, ADE20K, 160,000 iterations. Paper: mIoU 49.2 (table 4). Windows of 24:
docs/recipes.md.

A training step with 2 images peaks at 8.5 GB in float32, 6.2 GB in bf16 (H200,
docs/performance.md).
"""

_base_ = 'upernet_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    backbone=dict(arch='base', init_cfg=dict(checkpoint=released)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
