"""Mask2Former, GC ViT-S, semantic segmentation of Cityscapes, 90,000 iterations.

Expected: no figure is published. Not run in full.

mmseg's mask2former_swin-s_8xb2-90k_cityscapes-512x1024 with another backbone; drop path 0.3 too.
"""

_base_ = 'mask2former_gcvit_t_cityscapes.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_small.pth.tar'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(type='Pretrained', checkpoint=released)),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
)
