"""UPerNet, ConvNeXt-B, ADE20K, 160,000 iterations.

Expected: mIoU 48.71 (mmseg's). Not run in full.

As upernet_convnext_t.py, with mmseg's values for B: drop path 0.4, twelve layers.
"""

_base_ = 'upernet_convnext_t.py'

released = 'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-base_3rdparty_32xb128-noema_in1k_20220301-2a0ee547.pth'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.4, init_cfg=dict(checkpoint=released)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
