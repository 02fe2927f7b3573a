"""LSA-Base, CIFAR-100, 300 epochs, total batch 160 (8 GPUs x 20 images).

Expected: top-1 84.70 (the paper's). Not run in full by this project.
Memory:   not measured on a GPU.

What the paper leaves open, and what was chosen: heads of the schedule and the data under _base_.
"""

_base_ = [
    '_base_/models/lsa_classifier.py',
    '_base_/datasets/cifar100.py',
    '_base_/schedules/lsa_300e_cifar.py',
    '_base_/runtime_cls.py',
]

model = dict(backbone=dict(arch='cifar-base'), head=dict(num_classes=100, in_channels=768))

images_per_gpu = 20
lr = 5e-4 * 8 * images_per_gpu / 512
train_dataloader = dict(batch_size=images_per_gpu)
optim_wrapper = dict(optimizer=dict(lr=lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / lr, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5, end=300, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=8 * images_per_gpu)
