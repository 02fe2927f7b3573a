"""310 epochs of ImageNet-1K at a total batch of 4096: 8 GPUs x 128 images x 4 accumulated steps.

As imagenet_310e_bs1024.py, whose head says how many epochs the sources name, with the learning rate scaled linearly to
0.004. The paper says 0.001 for this batch too, the released files 0.005; with either the warm-up begins at a
four-thousandth of it. 32 GPUs x 128 images in the paper, for xxtiny, xtiny and tiny; of tiny2 it says nothing, the
released files put it here.
"""

_base_ = 'imagenet_310e_bs1024.py'

lr = 4e-3
accumulative_counts = 4

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / lr, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=5e-6, by_epoch=True, begin=20, end=300, convert_to_iter_based=True),
]
optim_wrapper = dict(accumulative_counts=accumulative_counts, optimizer=dict(lr=lr))
custom_hooks = [dict(type='EMAHook', momentum=2e-4, interval=accumulative_counts, priority='ABOVE_NORMAL')]
auto_scale_lr = dict(base_batch_size=1024)
