"""A small Cascade Mask R-CNN on LSA, of the parts of configs/cascade_gcvit_t.py, with the data of
the digits.
"""

_base_ = ['../../../configs/cascade_gcvit_t.py', '../../../configs/_base_/digits.py']

train_dataloader = _base_.digits.train_dataloader
val_dataloader = _base_.digits.val_dataloader
test_dataloader = val_dataloader
val_evaluator = _base_.digits.val_evaluator
test_evaluator = val_evaluator
heads = [
    {**head, 'in_channels': 32, 'conv_out_channels': 32, 'fc_out_channels': 64, 'num_classes': 10}
    for head in _base_.box_heads
]
model = dict(
    backbone=dict(_delete_=True, type='mmgcvit.LSA', arch={**_base_.lsa, 'depths': (1, 1, 2, 1)}),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32, finest_scale=28),
        bbox_head=heads,
        mask_roi_extractor=dict(out_channels=32, finest_scale=28),
        mask_head=dict(num_convs=1, in_channels=32, conv_out_channels=32, num_classes=10),
    ),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=50), rcnn=dict(max_per_img=20)),
)
