"""LSA-Small, ImageNet-1K, 300 epochs, total batch 512 (8 GPUs x 64 images).

Expected: top-1 82.2 (the paper's). Not run in full by this project.
Memory:   not measured on a GPU.

Rate 5e-4 for each 512 images and 20 epochs of warm-up, as the paper says; the released script of this model has 2.5e-4
and 5.
What the paper leaves open, and what was chosen: heads of the schedule and the data under _base_.
"""

_base_ = [
    '_base_/models/lsa_classifier.py',
    '_base_/datasets/imagenet_1k.py',
    '_base_/schedules/lsa_300e.py',
    '_base_/runtime_cls.py',
]

model = dict(backbone=dict(arch='imagenet-small', out_indices=(2,)), head=dict(in_channels=384))

images_per_gpu = 64
lr = 5e-4 * 8 * images_per_gpu / 512
train_dataloader = dict(batch_size=images_per_gpu)
optim_wrapper = dict(optimizer=dict(lr=lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / lr, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=20, end=300, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=8 * images_per_gpu)
