"""UPerNet, ConvNeXt-T, ADE20K, 160,000 iterations.

Expected: mIoU 46.11 (mmseg's). Not run in full.

ConvNeXt's recipe as mmseg's convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512 has it: drop path 0.4, a rate of 1e-4
that falls by 0.9 a stage, weight decay 0.05, tests by sliding windows. Mixed precision, as published.
"""

_base_ = 'upernet_convnext_t_gcvit_recipe.py'

model = dict(
    backbone=dict(drop_path_rate=0.4),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
optim_wrapper = dict(
    type='mmgcvit.AutoPrecisionOptimWrapper',
    loss_scale='dynamic',
    constructor='LearningRateDecayOptimizerConstructor',
    optimizer=dict(lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(_delete_=True, decay_rate=0.9, decay_type='stage_wise', num_layers=6),
)
