"""Cascade Mask R-CNN, GC ViT-S, COCO 2017, 36 epochs.

Expected: box AP 52.4, mask AP 45.4 (the paper's, table 2). Not run in full.

Windows of 16 in every stage: with them the model has the 866 G multiply-adds that the paper states.
Drop path 0.2, the released files' for the two widths that they have, and Swin-S's; the paper states none for COCO.
That of ImageNet, which nobody has published for COCO: --cfg-options model.backbone.drop_path_rate=0.3
"""

_base_ = 'cascade_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_small.pth.tar'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(checkpoint=released)),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
