"""UPerNet, Swin-B, ADE20K, 160,000 iterations.

Expected: mIoU 47.99 (mmseg's). Not run in full.

As upernet_swin_t.py, drop path included.
"""

_base_ = 'upernet_swin_t.py'

released = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/swin_base_patch4_window7_224_20220317-e9b98025.pth'
model = dict(
    backbone=dict(
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        init_cfg=dict(checkpoint=released),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
