"""LSA-T with reflections and an embedding per shift, CIFAR-10, 300 epochs, total batch 736.

Expected: top-1 96.77 (the paper's, table 5). Not run in full.

Table 5, row D: row C with a position embedding for each shift.
"""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(arch=dict(shift_mode='reflect', shared_conv=True)))
