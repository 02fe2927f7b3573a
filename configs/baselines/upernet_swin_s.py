"""UPerNet, Swin-S, ADE20K, 160,000 iterations.

Expected: mIoU 47.72 (mmseg's). Not run in full.

As upernet_swin_t.py, drop path included.
"""

_base_ = 'upernet_swin_t.py'

released = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/swin_small_patch4_window7_224_20220317-7ba6d6dd.pth'
model = dict(
    backbone=dict(depths=(2, 2, 18, 2), init_cfg=dict(checkpoint=released)),
)
