"""GC ViT-T with Swin's patch merging as downsampler, in the stem too. Paper: top-1 82.9 (table 8,
row 2).
"""

_base_ = '../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.GCViTPatchMerging'))
