"""UPerNet, GC ViT-B, ADE20K, 160,000 iterations.

Expected: mIoU 49.2 (the paper's, table 4). Not run in full by this project.
Memory:   not measured on a GPU.
Run:      tools/dist_train.sh configs/upernet_gcvit_b.py 8
          tools/dist_test.sh configs/upernet_gcvit_b.py CHECKPOINT 8

Windows of 24 in every stage: with them the model has the 1348 G multiply-adds at 512x2048 px that the paper states.
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

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5, init_cfg=dict(type='Pretrained', checkpoint=released)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
