"""LSA-T without shifts, CIFAR-10, 300 epochs, total batch 736.

Expected: top-1 96.50 (the paper's, table 5). Not run in full.

Table 5, row A: the first block is a plain one of global attention; one convolution, one position embedding.
"""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(arch=dict(shifts=None)))
