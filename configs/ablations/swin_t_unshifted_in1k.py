"""Swin-T without shifting. Paper: top-1 80.2 (table 5, row 1)."""

_base_ = '_base_/gcvit_t_in1k.py'

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
    ),
    head=dict(in_channels=768),
)
