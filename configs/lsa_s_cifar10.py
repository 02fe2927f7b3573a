"""LSA-Small, CIFAR-10, 300 epochs, total batch 320. Paper: top-1 97.64."""

_base_ = 'lsa_t_cifar10.py'

model = dict(backbone=dict(arch='cifar-small'), head=dict(in_channels=384))

images_per_gpu = 40
lr = 5e-4 * 8 * images_per_gpu / 512
train_dataloader = dict(batch_size=images_per_gpu)
optim_wrapper = dict(optimizer=dict(lr=lr))
param_scheduler = [dict(_base_.warmup, start_factor=1e-6 / lr), _base_.cosine]
auto_scale_lr = dict(base_batch_size=8 * images_per_gpu)
