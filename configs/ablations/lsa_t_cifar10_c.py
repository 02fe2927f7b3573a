"""LSA-T with reflections, CIFAR-10, 300 epochs, total batch 736.

Expected: top-1 96.69 (the paper's, table 5). Not run in full.

Table 5, row C: shifts by translation with reflection at the edges; one convolution and one position embedding for
all.
"""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(arch=dict(shift_mode='reflect', shared_conv=True, shared_position=True)))
