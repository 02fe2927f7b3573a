"""Mask2Former, GC ViT-B, semantic segmentation of Cityscapes, 90,000 iterations.

Expected: no figure is published. Not run in full.

mmseg's mask2former_swin-b-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024 with another backbone, which has seen
ImageNet-1K at 224 px; drop path 0.3 too.
"""

_base_ = 'mask2former_gcvit_t_cityscapes.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    backbone=dict(arch='base', init_cfg=dict(type='Pretrained', checkpoint=released)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
)
