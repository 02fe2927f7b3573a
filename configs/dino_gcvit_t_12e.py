"""DINO with 4 scales, GC ViT-T, COCO 2017, 12 epochs.

Expected: no figure is published. Not run in full.

Windows of 16 in every stage, as in the paper's other COCO models.
Weight decay 0.05 and a warm-up of 2500 iterations, as the paper's other detectors; DINO's own recipe has 1e-4 and none.
"""

_base_ = [
    '_base_/models/dino_gcvit.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/dino_12e_adamw.py',
    '_base_/runtime_det.py',
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)))
