"""RTMDet-Ins, GC ViT-S, instance segmentation of COCO 2017, 100 epochs.

Expected: no figure is published. Not run in full.

rtmdet_ins_gcvit_t.py with a larger backbone; drop path 0.2 too, as in ../mask_rcnn_gcvit_s.py.
"""

_base_ = 'rtmdet_ins_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_small.pth.tar'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(type='Pretrained', checkpoint=released)),
    neck=dict(in_channels=[192, 384, 768]),
)
