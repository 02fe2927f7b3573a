"""310 epochs of ImageNet-1K at a total batch of 4096: 8 GPUs x 128 images x 4 accumulated steps.

As imagenet_310e_bs1024.py, with the same learning rate.
"""

_base_ = 'imagenet_310e_bs1024.py'

accumulative_counts = 4

optim_wrapper = dict(accumulative_counts=accumulative_counts)
custom_hooks = [dict(type='EMAHook', momentum=2e-4, interval=accumulative_counts, priority='ABOVE_NORMAL')]
auto_scale_lr = dict(base_batch_size=1024)
