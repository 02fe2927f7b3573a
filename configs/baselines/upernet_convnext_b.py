"""UPerNet, ConvNeXt-B, ADE20K, 160,000 iterations.

Expected: not known here. Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in ../upernet_gcvit_b.py.

ConvNeXt-B in the place of GC ViT-B, all else as ../upernet_gcvit_b.py: its recipe and its drop path are not
ConvNeXt's own, with which the published figures are made.
"""

_base_ = 'upernet_convnext_t.py'

released = 'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-base_3rdparty_32xb128-noema_in1k_20220301-2a0ee547.pth'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5, init_cfg=dict(checkpoint=released)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
