"""Mask2Former, GC ViT-B, semantic segmentation of ADE20K, 160,000 iterations.

Expected: no figure is published. Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in mask2former_gcvit_t.py.

mmseg's mask2former_swin-b-in1k-384x384-pre_8xb2-160k_ade20k-640x640 with another backbone, whose
weights are of 224 px: crops of 640 px, drop path 0.3.
"""

_base_ = 'mask2former_gcvit_t_ade20k.py'

crop_size = (640, 640)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(
        type='RandomChoiceResize',
        scales=[640 * tenth // 10 for tenth in range(5, 21)],
        resize_type='ResizeShortestEdge',
        max_size=2560,
    ),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2560, 640), keep_ratio=True),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(arch='base', init_cfg=dict(type='Pretrained', checkpoint=released)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
)
