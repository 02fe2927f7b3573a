"""LSA-Small, ImageNet-1K, 300 epochs, total batch 512. Paper: top-1 82.2.

The learning rate and 20 epochs of warm-up are the paper's; the released script of this model has
2.5e-4 and 5.
"""

_base_ = 'lsa_t_in1k.py'

model = dict(backbone=dict(arch='imagenet-small', out_indices=(2,)), head=dict(in_channels=384))

images_per_gpu = 64
lr = 5e-4 * 8 * images_per_gpu / 512
train_dataloader = dict(batch_size=images_per_gpu)
optim_wrapper = dict(optimizer=dict(lr=lr))
param_scheduler = [dict(_base_.warmup, start_factor=1e-6 / lr), dict(_base_.cosine, eta_min=1e-5)]
auto_scale_lr = dict(base_batch_size=8 * images_per_gpu)
