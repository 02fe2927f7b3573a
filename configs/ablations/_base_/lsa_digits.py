"""LSA at the demo's scale for mmgcvit ablate: less than a minute a run on a CPU core, and scores that differ.

Differs from ../../demo/lsa_digits_cls.py in width, shifts, images and schedule.
"""

_base_ = '../../demo/lsa_digits_cls.py'

# The shifts of LSA-T on CIFAR-10; the demo has the nine along one axis.
shifts = (
    *((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (2, 0), (0, 2), (-2, 0), (0, -2)),
    *((1, 1), (1, 2), (1, -1), (-1, 1), (-1, 2), (-1, -1), (2, 1), (2, 2), (2, -1)),
)
model = dict(
    backbone=dict(arch=dict(embed_dims=(32, 64, 128, 256), shifts=shifts)),
    head=dict(in_channels=256),
)

# One image of every eighth scan, where the demo trains on four of each.
scans = list(range(0, 5752, 32))
train_dataloader = dict(batch_size=32, num_workers=0, persistent_workers=False, dataset=dict(indices=scans))
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader

lr = 2e-3
max_epochs = 14
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=12),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=2, end=max_epochs, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=4, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=32)
