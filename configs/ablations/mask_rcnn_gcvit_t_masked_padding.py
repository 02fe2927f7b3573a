"""GC ViT-T with masked padding, Mask R-CNN, COCO 2017, 36 epochs.

Expected: no figure is published. Not run in full.

Padded keys are masked, to which the published networks attend; in training at 224 px nothing is padded, so that it
starts from the same weights. In no table of the paper.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.detection', 'mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.GCViTMaskedPadding'))
