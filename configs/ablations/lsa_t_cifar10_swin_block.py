"""LSA-T with a Swin block, of windows of 8, in the place of the local attention block. Paper: top-1
96.3 (table 6, row I).
"""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(type='mmgcvit.LSAWithSwinBlock', arch=dict(shared_position=True)))
