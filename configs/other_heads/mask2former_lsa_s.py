"""Mask2Former, LSA-Small, instance segmentation of COCO 2017, 50 epochs.

Expected: nobody has published LSA for instance segmentation. Not run in full.

mask2former_gcvit_t.py with another backbone, as ../mask_rcnn_lsa_s.py has it: three stages of strides 4 to 16, the
first two in windows; the neck adds the map of stride 32 that the head asks for. Starts from ../lsa_s_in1k.py's weights,
which you train first.
"""

_base_ = 'mask2former_gcvit_t.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmgcvit.LSA',
        arch='imagenet-small',
        window_size=(16, 16, None),
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/lsa_s_in1k/epoch_300.pth'),
    ),
    neck=dict(
        type='ChannelMapper',
        in_channels=[64, 192, 384],
        kernel_size=1,
        out_channels=256,
        act_cfg=None,
        norm_cfg=dict(type='GN', num_groups=32),
        num_outs=4,
    ),
    panoptic_head=dict(in_channels=[256, 256, 256, 256]),
)
