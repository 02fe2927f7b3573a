"""UPerNet, Swin-T, ADE20K, 160,000 iterations. mmseg: mIoU 44.41.

mmseg's swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512, the recipe of
../upernet_gcvit_t.py, but without weight decay on the heads' batch norms.
"""

_base_ = '../upernet_gcvit_t.py'

released = 'https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/swin/swin_tiny_patch4_window7_224_20220317-1cdeb081.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=released),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
