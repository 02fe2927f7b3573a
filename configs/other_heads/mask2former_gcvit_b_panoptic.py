"""Mask2Former, GC ViT-B, panoptic segmentation of COCO 2017, 50 epochs.

Expected: no figure is published. Not run in full.

mask2former_gcvit_t_panoptic.py with a larger backbone; drop path 0.3 as in mask2former_gcvit_b.py.
"""

_base_ = 'mask2former_gcvit_t_panoptic.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    backbone=dict(arch='base', init_cfg=dict(type='Pretrained', checkpoint=released)),
    panoptic_head=dict(in_channels=[128, 256, 512, 1024]),
)
