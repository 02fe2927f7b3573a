"""Cascade Mask R-CNN, GC ViT-B, COCO 2017, 36 epochs.

Expected: box AP 52.9, mask AP 45.8 (the paper's, table 2). Not run in full.

Windows of 16 in every stage: with them the model has the 1018 G multiply-adds that the paper states.
Drop path 0.2, of the only released model files of this width; the paper states none for COCO. Swin-B's 0.3, or that of
ImageNet, which nobody has published for COCO, 0.5: --cfg-options model.backbone.drop_path_rate=0.3
"""

_base_ = 'cascade_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    backbone=dict(arch='base', init_cfg=dict(checkpoint=released)),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
