"""../../gcvit_t_in1k.py with the classes of the ablations, for configs to change one attribute of."""

_base_ = '../../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])
