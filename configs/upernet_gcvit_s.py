"""UPerNet, GC ViT-S, ADE20K, 160,000 iterations.

Expected: mIoU 48.3 (the paper's, table 4), with windows that the paper does not name: 24 come nearest to its
          multiply-adds. Not run in full by this project.
Hours:    34 on 8 A40, the average of the paper's segmentors.
Memory:   not measured on a GPU.
--amp:    without it float32, as Swin's recipe; with it backbone and heads in bfloat16 where the GPU has it, else in
          float16, losses still in float32.

Windows of 24 in every stage. The paper states 1163 G multiply-adds at 512x2048 px: with windows of 24 the model has
1154 G, with 16 it has 1042 G.
The paper states the crops, 512x512 px, and the batch; the rest, drop path 0.3 for all sizes included, is mmseg's
swin-*-in1k-pre_upernet_8xb2-160k_ade20k-512x512.
"""

_base_ = [
    '_base_/models/upernet_gcvit.py',
    '_base_/datasets/ade20k_512.py',
    '_base_/schedules/ade20k_160k_adamw.py',
    '_base_/runtime_seg.py',
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_small.pth.tar'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(type='Pretrained', checkpoint=released)),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
