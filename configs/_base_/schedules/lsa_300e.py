"""300 epochs of LSA on 8 GPUs: AdamW, learning rate 5e-4 for each 512 images, cosine from 20 epochs of warm-up on.

Clipping is the paper's; start and end of the learning rate and no decay of vectors are the released scripts'.
"""

images_per_gpu = 92
lr = 5e-4 * 8 * images_per_gpu / 512

train_cfg = dict(type='mmgcvit.EpochBasedTrainLoop', max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / lr, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=20, end=300, convert_to_iter_based=True),
]
optim_wrapper = dict(
    type='mmgcvit.AutoPrecisionOptimWrapper',
    constructor='mmgcvit.GroupedParamsOptimWrapperConstructor',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
    ),
    clip_grad=dict(max_norm=5.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=8 * images_per_gpu)
