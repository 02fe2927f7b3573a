"""../../mask_rcnn_gcvit_t.py with the classes of the ablations, for configs to change one attribute of."""

_base_ = '../../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.fixes.mmdet', 'mmgcvit.models.ablations'])
