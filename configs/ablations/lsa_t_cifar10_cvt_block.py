"""LSA-T with a CvT block, CIFAR-10, 300 epochs, total batch 736.

Expected: top-1 96.0 (the paper's, table 6). Not run in full by this project.
Memory:   not measured on a GPU.

Table 6, row II: CvT's attention with convolutional projections in the place of the local attention block, and its
convolutional token embedding.
"""

_base_ = '_base_/lsa_t_cifar10.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.LSAWithCvTBlock', arch=dict(shared_position=True)))
