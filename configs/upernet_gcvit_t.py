"""UPerNet, GC ViT-T, ADE20K, 160,000 iterations.

Expected: mIoU 47.0 (the paper's, table 4). Not run in full by this project.
Memory:   not measured on a GPU.
Run:      tools/dist_train.sh configs/upernet_gcvit_t.py 8
          tools/dist_test.sh configs/upernet_gcvit_t.py CHECKPOINT 8

Windows of 24 in every stage as in the base model. With them this one has 1020 G multiply-adds at 512x2048 px, with
windows of 16 it has 954 G; the paper states 947 G.
The paper states the crops, 512x512 px; the rest of the recipe is Swin's published one.
Starts from the authors' ImageNet weights (CC BY-NC-SA 4.0: not for commercial use), downloaded once. Others:
    --cfg-options model.backbone.init_cfg.checkpoint=FILE_OR_ADDRESS
or without any:
    --cfg-options model.backbone.init_cfg=None
"""

_base_ = [
    '_base_/models/upernet_gcvit.py',
    '_base_/datasets/ade20k_512.py',
    '_base_/schedules/ade20k_160k_adamw.py',
    '_base_/runtime_seg.py',
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)))
