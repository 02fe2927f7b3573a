"""LSA-T with CvT's attention block and token embedding. Paper: top-1 96.0 (table 6, row II)."""

_base_ = '_base_/lsa_t_cifar10.py'

model = dict(backbone=dict(type='mmgcvit.LSAWithCvTBlock', arch=dict(shared_position=True)))
