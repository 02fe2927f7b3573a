"""LSA-T with one position embedding. Paper: top-1 96.85 (table 5, row E).

The paper's 7.6 M parameters are those of full multi-head attention; one key/value head has 6.9 M.
"""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(arch=dict(shared_position=True)))
