"""UPerNet, ConvNeXt-S, ADE20K, 160,000 iterations.

Expected: not known here. Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in ../upernet_gcvit_s.py.

ConvNeXt-S in the place of GC ViT-S, all else as ../upernet_gcvit_s.py: its recipe and its drop path are not
ConvNeXt's own, with which the published figures are made.
"""

_base_ = 'upernet_convnext_t.py'

released = 'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-small_3rdparty_32xb128-noema_in1k_20220301-303e75e3.pth'
model = dict(
    backbone=dict(arch='small', drop_path_rate=0.3, init_cfg=dict(checkpoint=released)),
)
