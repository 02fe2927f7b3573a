"""UPerNet, GC ViT-B, ADE20K, 160,000 iterations.

Expected: mIoU 49.2 (the paper's, table 4). Not run in full.

Windows of 24 in every stage: with them the model has the 1348 G multiply-adds at 512x2048 px that the paper states.
The paper states the crops, 512x512 px, and the batch; the rest, drop path 0.3 for all sizes included, is mmseg's
swin-*-in1k-pre_upernet_8xb2-160k_ade20k-512x512.
"""

_base_ = 'upernet_gcvit_t.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    backbone=dict(arch='base', init_cfg=dict(checkpoint=released)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
