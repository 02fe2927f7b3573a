"""310 epochs of ImageNet-1K at a total batch of 1024: 8 GPUs x 64 images x 2 accumulated steps.

How many epochs has three answers. The paper: 300, with 20 of warm-up and 20 of cooling down. The released files: 310.
The released trainer's scheduler: 10 of cooling down after those 310, 320 in all. Here 310: 20 of warm-up from 1e-6,
cosine to 5e-6 until 300, 10 of cooling down there.

Learning rate 0.001 for every model and batch, as the paper says. The released files say 0.005 (XXT, T, T2, S, S2) or
0.001 (L, the versions seen of XT and B, older ones of T and S). Theirs, from the same 1e-6:
    --cfg-options optim_wrapper.optimizer.lr=0.005 param_scheduler.0.start_factor=2e-4

Batches as the paper states them, 32 GPUs x 32 images for small, base and large; of small2 it says nothing, the released
files put it there. Weight decay on all but vectors (biases, norms, layer scale), as in timm's trainer, which the paper
used: position tables decay. Swin's recipe exempts these; GC ViT's model does not name them to timm.
"""

lr = 1e-3
accumulative_counts = 2

train_cfg = dict(type='mmgcvit.EpochBasedTrainLoop', max_epochs=310, val_interval=1)
val_cfg = dict()
test_cfg = dict()

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / lr, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=5e-6, by_epoch=True, begin=20, end=300, convert_to_iter_based=True),
]
optim_wrapper = dict(
    type='mmgcvit.AutoPrecisionOptimWrapper',
    constructor='mmgcvit.GroupedParamsOptimWrapperConstructor',
    loss_scale='dynamic',
    accumulative_counts=accumulative_counts,
    optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
    ),
    clip_grad=dict(max_norm=5.0),
)
# Of the weights after each optimizer step, not of each of its parts.
custom_hooks = [dict(type='EMAHook', momentum=2e-4, interval=accumulative_counts, priority='ABOVE_NORMAL')]
# Images of one forward pass over all GPUs, as mmengine counts them: accumulated steps are not in it.
auto_scale_lr = dict(enable=False, base_batch_size=512)
