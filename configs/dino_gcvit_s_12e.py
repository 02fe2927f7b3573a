"""DINO with 4 scales, GC ViT-S, COCO 2017, 12 epochs."""

_base_ = 'dino_gcvit_t_12e.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_small.pth.tar'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(checkpoint=released)),
    neck=dict(in_channels=[192, 384, 768]),
)
