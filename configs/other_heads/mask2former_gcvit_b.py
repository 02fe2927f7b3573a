"""Mask2Former, GC ViT-B, instance segmentation of COCO 2017, 50 epochs.

Expected: no figure is published. Not run in full.

mask2former_gcvit_t.py with a larger backbone. Drop path 0.3, as mmdet's mask2former_swin-b-p4-w12-384_8xb2-lsj-50e_
coco-panoptic; with Swin-B it has none for instances.
"""

_base_ = 'mask2former_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    backbone=dict(arch='base', init_cfg=dict(type='Pretrained', checkpoint=released)),
    panoptic_head=dict(in_channels=[128, 256, 512, 1024]),
)
