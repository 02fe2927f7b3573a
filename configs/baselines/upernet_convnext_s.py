"""UPerNet, ConvNeXt-S, ADE20K, 160,000 iterations.

Expected: mIoU 48.56 (mmseg's). Not run in full.

As upernet_convnext_t.py, with mmseg's values for S: drop path 0.3, twelve layers.
"""

_base_ = 'upernet_convnext_t.py'

released = 'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-small_3rdparty_32xb128-noema_in1k_20220301-303e75e3.pth'
model = dict(
    backbone=dict(arch='small', drop_path_rate=0.3, init_cfg=dict(checkpoint=released)),
)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
