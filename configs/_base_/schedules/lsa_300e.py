"""300 epochs, the recipe of LSA for ImageNet on 8 GPUs: AdamW, learning rate 5e-4 for each 512 images, cosine.

20 epochs of warm-up from 1e-6, then to 1e-5, as the released scripts but ImageNet-T's. Gradients clipped at a norm of
5, as the paper says; the released scripts do not clip unless told to. No decay on norms, biases and position
embeddings, DeiT's habit; the paper does not say.
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
    constructor='mmgcvit.MergingOptimWrapperConstructor',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys=dict(pos_embed=dict(decay_mult=0.0)),
    ),
    clip_grad=dict(max_norm=5.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=8 * images_per_gpu)
