"""310 epochs of ImageNet-1K at a total batch of 1024: 8 GPUs with 80 GB x 128 images.

20 epochs of warm-up, cosine until 300, 10 of cooling down. The sources name 300, 310 and 320 epochs
and two learning rates: docs/recipes.md, also for smaller GPUs. Weight decay on all but vectors, as
in timm's trainer, which the paper used.
"""

_base_ = 'adamw_cls.py'

lr = 1e-3

train_cfg = dict(max_epochs=310)
warmup = dict(_base_.warmup, start_factor=1e-6 / lr)
cosine = dict(_base_.cosine, eta_min=5e-6)
param_scheduler = [warmup, cosine]
optim_wrapper = dict(optimizer=dict(lr=lr))
custom_hooks = [dict(type='EMAHook', momentum=2e-4, priority='ABOVE_NORMAL')]
auto_scale_lr = dict(enable=False, base_batch_size=1024)
