"""../../upernet_gcvit_t.py with the classes of the ablations, for configs to change one attribute of."""

_base_ = '../../upernet_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.fixes.mmseg', 'mmgcvit.models.ablations'])
