"""310 epochs of ImageNet-1K at a total batch of 4096: 8 GPUs with 80 GB x 512 images.

As imagenet_310e_bs1024.py, but with the lr of the released files. The paper's is 0.001:
docs/recipes.md.
"""

_base_ = 'imagenet_310e_bs1024.py'

lr = 5e-3

param_scheduler = [dict(_base_.warmup, start_factor=1e-6 / lr), _base_.cosine]
optim_wrapper = dict(optimizer=dict(lr=lr))
auto_scale_lr = dict(base_batch_size=4096)
