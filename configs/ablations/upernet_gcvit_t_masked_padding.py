"""GC ViT-T with masked padding, UPerNet, ADE20K, 160,000 iterations.

Expected: no figure is published. Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in ../upernet_gcvit_t.py.

Padded keys are masked, to which the published networks attend; in training at 224 px nothing is padded, so that it
starts from the same weights. In no table of the paper.
"""

_base_ = '../upernet_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.GCViTMaskedPadding'))
