"""DINO with 4 scales, GC ViT-S, COCO 2017, 12 epochs.

Expected: no figure is published. Not run in full.

Windows of 16 in every stage, as in the paper's other COCO models.
Weight decay 0.05 and a warm-up of 2500 iterations, as the paper's other detectors; DINO's own recipe has 1e-4 and none.
Drop path 0.2 as in mmdet's DINO on Swin-L; mmdet's on Swin-B (V3Det) has 0.3:
    --cfg-options model.backbone.drop_path_rate=0.3
"""

_base_ = 'dino_gcvit_t_12e.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_small.pth.tar'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(checkpoint=released)),
    neck=dict(in_channels=[192, 384, 768]),
)
