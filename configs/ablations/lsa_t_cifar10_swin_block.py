"""LSA-T with a Swin block, CIFAR-10, 300 epochs, total batch 736.

Expected: top-1 96.3 (the paper's, table 6). Not run in full by this project.
Memory:   not measured on a GPU.

Table 6, row I: a Swin block, with windows of 8, in the place of the local attention block. The paper does not name
the windows. The block's position table has no weight decay, as in Swin's recipe.
"""

_base_ = '_base_/lsa_t_cifar10.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.LSAWithSwinBlock', arch=dict(shared_position=True)))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(relative_position_bias_table=dict(decay_mult=0.0))))
