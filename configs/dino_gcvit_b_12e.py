"""DINO with 4 scales, GC ViT-B, COCO 2017, 12 epochs.

Expected: no figure is published. Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    without it float32; with it backbone and neck in bfloat16 where the GPU has it, else in float16, transformer
          and head still in float32.

Windows of 16 in every stage, as in the paper's other COCO models.
Weight decay 0.05 and a warm-up of 2500 iterations, as the paper's other detectors; DINO's own recipe has 1e-4 and none.
Drop path 0.2 as in mmdet's DINO on Swin-L; mmdet's on Swin-B (V3Det) has 0.3:
    --cfg-options model.backbone.drop_path_rate=0.3
"""

_base_ = [
    '_base_/models/dino_gcvit.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/dino_12e_adamw.py',
    '_base_/runtime_det.py',
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    backbone=dict(arch='base', init_cfg=dict(type='Pretrained', checkpoint=released)),
    neck=dict(in_channels=[256, 512, 1024]),
)
