"""LSA-T with one position embedding, CIFAR-10, 300 epochs, total batch 736.

Expected: top-1 96.85 (the paper's, table 5). Not run in full.

Table 5, row E: a convolution for each shift, one position embedding for all. The paper states 7.6 M parameters, which
full multi-head attention has; with the one key/value head of the other rows it has 6.9 M.
"""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(arch=dict(shared_position=True)))
