"""DINO with 4 scales, GC ViT-L pretrained on ImageNet-21K, COCO 2017, 36 epochs.

Expected: box AP 58.3 (the paper's, table 2). Not run in full by this project.
Memory:   not measured on a GPU.
Run:      tools/dist_train.sh configs/dino_gcvit_l.py 8
          tools/dist_test.sh configs/dino_gcvit_l.py CHECKPOINT 8

Windows of 16 in every stage, as in the paper's other COCO models; it states no multiply-adds for this one.
Drop path 0.5 as in ImageNet training; the paper does not state its value for COCO.
All blocks are recomputed in the backward pass. Where there is memory to spare, fewer are faster:
    --cfg-options model.backbone.with_cp="[True,True,False,False]"      (the first two stages only)
Starts from the authors' ImageNet-21K weights of 384 px (CC BY-NC-SA 4.0: not for commercial use), downloaded once; the
paper does not say which of its 21K weights it took. Others:
    --cfg-options model.backbone.init_cfg.checkpoint=FILE_OR_ADDRESS
or without any:
    --cfg-options model.backbone.init_cfg=None
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
        drop_path_rate=0.5,
        with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint=released),
    ),
    neck=dict(in_channels=[384, 768, 1536]),
)
