"""300 epochs, the recipe of LSA for CIFAR: as lsa_300e.py, with 5 epochs of warm-up."""

_base_ = 'lsa_300e.py'

lr = 5e-4 * 8 * 92 / 512
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / lr, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5, end=300, convert_to_iter_based=True),
]
