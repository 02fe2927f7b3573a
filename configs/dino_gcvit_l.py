"""DINO with 4 scales, GC ViT-L pretrained on ImageNet-21K, COCO 2017, 36 epochs.

Expected: box AP 58.3 (the paper's, table 2). Not run in full.

Windows of 16 in every stage, as in the paper's other COCO models; it states no multiply-adds for this one.
Weight decay 0.05 and a warm-up of 2500 iterations, as the paper's other detectors; DINO's own recipe has 1e-4 and none.
Drop path 0.2, as in mmdet's DINO on Swin-L. GC ViT's authors take 0.1 for fine-tuning models pretrained on
ImageNet-21K and 0.5 without that pretraining; for COCO the paper states none.
36 epochs, as the paper's other detectors; of this one it states no number, and dino_gcvit_l_12e.py has DINO's 12.
All blocks are recomputed in the backward pass. Where there is memory to spare, fewer are faster:
    --cfg-options model.backbone.with_cp="[True,True,False,False]"      (the first two stages only)
Starts from the ImageNet-21K weights of 384 px; the paper does not say which of its 21K weights it took.
"""

_base_ = [
    '_base_/models/dino_gcvit.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/dino_36e_adamw.py',
    '_base_/runtime_det.py',
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_21k_large_384.pth.tar'
model = dict(
    backbone=dict(
        arch='large',
        pretrain_img_size=384,
        drop_path_rate=0.2,
        with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint=released),
    ),
    neck=dict(in_channels=[384, 768, 1536]),
)
