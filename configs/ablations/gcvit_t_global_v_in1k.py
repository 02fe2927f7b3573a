"""GC ViT-T with global values, ImageNet-1K, 310 epochs, total batch 4096.

Expected: the paper's figure (table S.2) is not known here; its text says worse, most for dense tasks. Not run in full
          by this project.
Memory:   not measured on a GPU.

Table S.2, row 2: queries and keys are local, values are the global tokens.
"""

_base_ = '../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.GCViTGlobalValue'))
