"""310 epochs of ImageNet-1K at a total batch of 4096: 8 GPUs x 128 images x 4 accumulated steps.

As imagenet_310e_bs1024.py, but with the lr of the released files. The paper's is 0.001:
docs/recipes.md.
"""

_base_ = 'imagenet_310e_bs1024.py'

lr = 5e-3
accumulative_counts = 4

param_scheduler = [dict(_base_.warmup, start_factor=1e-6 / lr), _base_.cosine]
optim_wrapper = dict(accumulative_counts=accumulative_counts, optimizer=dict(lr=lr))
custom_hooks = [
    dict(type='EMAHook', momentum=2e-4, interval=accumulative_counts, priority='ABOVE_NORMAL')
]
auto_scale_lr = dict(base_batch_size=1024)
