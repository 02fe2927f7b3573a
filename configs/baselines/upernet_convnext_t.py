"""UPerNet, ConvNeXt-T, ADE20K, 160,000 iterations. mmseg: mIoU 46.11.

mmseg's convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512, tests by sliding windows included.
"""

_base_ = ['../upernet_gcvit_t.py', '../_base_/models/convnext_t.py']

custom_imports = dict(imports=['mmgcvit', 'mmgcvit.fixes.mmseg', 'mmpretrain.models'])

model = dict(
    backbone=dict(_base_.convnext, _delete_=True),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
optim_wrapper = dict(
    type='mmgcvit.AutoPrecisionOptimWrapper',
    loss_scale='dynamic',
    constructor='LearningRateDecayOptimizerConstructor',
    optimizer=dict(lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(_delete_=True, decay_rate=0.9, decay_type='stage_wise', num_layers=6),
)
