"""UPerNet, Swin-T, ADE20K, 160,000 iterations.

Expected: not known here. Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in ../upernet_gcvit_t.py.

Swin-T in the place of GC ViT-T, all else as ../upernet_gcvit_t.py: its recipe and its drop path are not Swin's own,
with which the published figures are made.
"""

_base_ = '../upernet_gcvit_t.py'

released = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/swin_tiny_patch4_window7_224_20220317-1cdeb081.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint=released),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
