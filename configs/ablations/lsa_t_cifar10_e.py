"""LSA-T with one position embedding: top-1 96.85 (table 5, row E).

The paper states 7.6 M parameters, those of full multi-head attention; with one key/value head it has 6.9 M.
"""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(arch=dict(shared_position=True)))
