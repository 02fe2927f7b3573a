"""Rotated boxes by FCOS, GC ViT-T, DOTA 1.0 in pieces of 1024 px, 12 epochs. Needs mmrotate.

mmrotate's config, which trains without mmcv's compiled operators, with another backbone, and AdamW
as in its oriented-rcnn-le90_swin-tiny_fpn_1x_dota.py. The neck begins at stride 8.
"""

_base_ = 'mmrotate::rotated_fcos/rotated-fcos-hbox-le90_r50_fpn_1x_dota.py'

custom_imports = dict(imports=['mmgcvit'], allow_failed_imports=False)
released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmgcvit.GCViT',
        arch='tiny',
        window_size=16,
        drop_path_rate=0.2,
        out_indices=(1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint=released),
    ),
    neck=dict(in_channels=[128, 256, 512], start_level=0),
)

# The longest key in a parameter's name applies, instead of the rule for norms.
norms = ('norm0', 'norm1', 'norm2', 'norm3', 'norm_in', 'norm_out')
undecayed = [
    'relative_position_bias_table',
    *(f'.{norm}.{end}' for norm in norms for end in ('weight', 'bias')),
]
optim_wrapper = dict(
    constructor='mmgcvit.GroupedParamsOptimWrapperConstructor',
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys=dict(
            backbone=dict(lr_mult=0.1),
            **{key: dict(lr_mult=0.1, decay_mult=0.0) for key in undecayed},
        ),
    ),
)
