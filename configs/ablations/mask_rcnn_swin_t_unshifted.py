"""Mask R-CNN, Swin-T without shifting, with Swin's windows of 7. Paper: box AP 44.0, mask AP 40.1
(table 5, row 1).
"""

_base_ = '_base_/mask_rcnn_gcvit_t.py'

model = dict(
    backbone=dict(
        type='mmgcvit.SwinWithoutShifting',
        arch=dict(
            _delete_=True,
            embed_dims=96,
            depths=(2, 2, 6, 2),
            num_heads=(3, 6, 12, 24),
            mlp_ratio=4,
            drop_path_rate=0.2,
        ),
        window_size=7,
        init_cfg=dict(checkpoint='work_dirs/swin_t_unshifted_in1k/epoch_310.pth'),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
