"""GC ViT-Large, ImageNet-21K weights fine-tuned on ImageNet-1K at 512 px, total batch 512 (8 GPUs x 16 images x 4).

Expected: top-1 87.6 (the paper's, table 1). Not run in full by this project.
Run:      tools/dist_train.sh configs/gcvit_l_512_in1k.py 8
          tools/dist_test.sh configs/gcvit_l_512_in1k.py CHECKPOINT 8

As gcvit_l_384_in1k.py, with its choices, at another size.
"""

_base_ = 'gcvit_l_384_in1k.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_21k_large_512.pth.tar'
model = dict(
    backbone=dict(window_size=(16, 16, 32, 16), pretrain_img_size=512, init_cfg=dict(checkpoint=released)),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=512, backend='pillow', interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=585, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=512),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
