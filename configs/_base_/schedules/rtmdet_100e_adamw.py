"""100 epochs of COCO with AdamW at a total batch of 128 (8 GPUs x 16 images), as mmdet's RTMDet of
Swin-B.

A cosine from epoch 50 on; scores every 10 epochs, in the last 10 every epoch. No decay on norms,
biases and position tables; gradients are not clipped. mmdet's names biases and norms only; its Swin
has no decay on tables elsewhere.
"""

max_epochs, stage2_epochs, interval = 100, 10, 10
base_lr = 0.001
train_cfg = dict(
    type='mmgcvit.EpochBasedTrainLoop',
    max_epochs=max_epochs,
    val_interval=interval,
    dynamic_intervals=[(max_epochs - stage2_epochs, 1)],
)
val_cfg = dict()
test_cfg = dict()

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5, by_epoch=False, begin=0, end=1000),
    dict(
        type='CosineAnnealingLR',
        eta_min=base_lr * 0.05,
        begin=max_epochs // 2,
        end=max_epochs,
        T_max=max_epochs // 2,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmgcvit.GroupedParamsOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=base_lr, weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        bypass_duplicate=True,
        custom_keys=dict(relative_position_bias_table=dict(decay_mult=0.0)),
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=128)
