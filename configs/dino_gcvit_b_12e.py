"""DINO with 4 scales, GC ViT-B, COCO 2017, 12 epochs.

Expected: no figure is published. Not run in full by this project.
Memory:   not measured on a GPU.
Run:      tools/dist_train.sh configs/dino_gcvit_b_12e.py 8
          tools/dist_test.sh configs/dino_gcvit_b_12e.py CHECKPOINT 8

Windows of 16 in every stage, as in the paper's other COCO models.
Drop path 0.5 as in ImageNet training; the paper does not state its value for COCO.
Starts from the authors' ImageNet weights (CC BY-NC-SA 4.0: not for commercial use), downloaded once. Others:
    --cfg-options model.backbone.init_cfg.checkpoint=FILE_OR_ADDRESS
or without any:
    --cfg-options model.backbone.init_cfg=None
"""

_base_ = [
    '_base_/models/dino_gcvit.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/dino_12e_adamw.py',
    '_base_/runtime_det.py',
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5, init_cfg=dict(type='Pretrained', checkpoint=released)),
    neck=dict(in_channels=[256, 512, 1024]),
)
