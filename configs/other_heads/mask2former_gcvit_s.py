"""Mask2Former, GC ViT-S, instance segmentation of COCO 2017, 50 epochs.

Expected: no figure is published. Not run in full.

mask2former_gcvit_t.py with a larger backbone, as mmdet's mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco; drop path
0.3 too.
"""

_base_ = 'mask2former_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_small.pth.tar'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(type='Pretrained', checkpoint=released)),
    panoptic_head=dict(in_channels=[96, 192, 384, 768]),
)
