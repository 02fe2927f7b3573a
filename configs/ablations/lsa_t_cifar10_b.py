"""LSA-T with 9 shifts, by one and two px along each axis. Paper: top-1 96.70 (table 5, row B)."""

_base_ = '_base_/lsa_t_cifar10.py'

shifts = ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (-1, 0), (-2, 0), (0, -1), (0, -2))
model = dict(backbone=dict(arch=dict(shifts=shifts)))
