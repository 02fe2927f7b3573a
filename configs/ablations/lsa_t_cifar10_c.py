"""LSA-T with reflections, one convolution and one position embedding. Paper: top-1 96.69 (table 5,
row C).
"""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(arch=dict(shift_mode='reflect', shared_conv=True, shared_position=True)))
