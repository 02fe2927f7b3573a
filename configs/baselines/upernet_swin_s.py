"""UPerNet, Swin-S, ADE20K, 160,000 iterations.

Expected: not known here. Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in ../upernet_gcvit_s.py.

Swin-S in the place of GC ViT-S, all else as ../upernet_gcvit_s.py: its recipe and its drop path are not Swin's own,
with which the published figures are made.
"""

_base_ = 'upernet_swin_t.py'

released = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/swin_small_patch4_window7_224_20220317-7ba6d6dd.pth'
model = dict(
    backbone=dict(depths=(2, 2, 18, 2), drop_path_rate=0.3, init_cfg=dict(checkpoint=released)),
)
