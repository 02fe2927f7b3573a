"""Mask R-CNN, LSA-Small, COCO 2017, 36 epochs; unpublished.

mask_rcnn_gcvit_t.py with another backbone, whose first two stages attend in windows: in the first,
an image of 800x1344 px has 67,200 tokens. Starts from the weights that lsa_s_in1k.py trains.
A training step with 2 images peaks at 7.4 GB in float32, 5.3 GB in bf16 (H200,
docs/performance.md).
"""

_base_ = 'mask_rcnn_gcvit_t.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmgcvit.LSA',
        arch='imagenet-small',
        window_size=(16, 16, None),
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/lsa_s_in1k/epoch_300.pth'),
    ),
    neck=dict(in_channels=[64, 192, 384]),
)
