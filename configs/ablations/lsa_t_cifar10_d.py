"""LSA-T with reflections and one convolution. Paper: top-1 96.77 (table 5, row D)."""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(arch=dict(shift_mode='reflect', shared_conv=True)))
