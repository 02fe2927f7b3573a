"""36 epochs of COCO for DINO with AdamW at a total batch of 16 (8 GPUs x 2 images); steps after 27
and 33 epochs.

Weight decay is that of GC ViT's paper, the warm-up that of its released Mask R-CNN and Cascade, the
steps are mmdet's for DINO on Swin-L, the other rates DINO's: docs/recipes.md.

A parameter takes the rule of the longest of these keys that is in its name,
and then no rule for norms: the backbone's norms and position tables need keys of their own.
"""

_base_ = 'coco_36e_adamw.py'

undecayed = [
    'relative_position_bias_table',
    'pos_embed',
    *(
        f'.{norm}.{parameter}'
        for norm in ('norm0', 'norm1', 'norm2', 'norm3', 'norm_in', 'norm_out')
        for parameter in ('weight', 'bias')
    ),
]
optim_wrapper = dict(
    clip_grad=dict(max_norm=0.1),
    paramwise_cfg=dict(
        custom_keys=dict(
            backbone=dict(lr_mult=0.1),
            **{key: dict(lr_mult=0.1, decay_mult=0.0) for key in undecayed},
        ),
    ),
)
