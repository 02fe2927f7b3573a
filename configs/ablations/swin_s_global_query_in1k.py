"""Swin-S, as swin_t_global_query_in1k.py. Paper: top-1 83.7 (table S.3), Swin-S 83.0."""

_base_ = '../gcvit_s_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(
    backbone=dict(
        type='mmgcvit.SwinWithGlobalQuery',
        arch=dict(
            _delete_=True,
            embed_dims=96,
            depths=(2, 2, 18, 2),
            num_heads=(3, 6, 12, 24),
            mlp_ratio=4,
            drop_path_rate=0.3,
        ),
        window_size=7,
    ),
    head=dict(in_channels=768),
)
