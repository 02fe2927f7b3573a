"""../../lsa_t_cifar10.py with its variant written out, for ablations to change one attribute of."""

_base_ = '../../lsa_t_cifar10.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

arch = vars(__import__('mmgcvit').LSA.archs['cifar-tiny'])
model = dict(backbone=dict(arch=dict(arch, _delete_=True)))
