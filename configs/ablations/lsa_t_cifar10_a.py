"""LSA-T without shifts, the first block being global attention. Paper: top-1 96.50 (table 5, row
A).
"""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(arch=dict(shifts=None)))
