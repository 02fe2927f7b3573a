"""LSA-T with 9 shifts, CIFAR-10, 300 epochs, total batch 736.

Expected: top-1 96.70 (the paper's, table 5). Not run in full.

Table 5, row B: the image, and shifts by one and two pixels along each axis.
"""

_base_ = '_base_/lsa_t_cifar10.py'

shifts = ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (-1, 0), (-2, 0), (0, -1), (0, -2))
model = dict(backbone=dict(arch=dict(shifts=shifts)))
