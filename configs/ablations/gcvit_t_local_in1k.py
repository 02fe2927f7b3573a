"""GC ViT-T without global attention, ImageNet-1K, 310 epochs, total batch 4096.

Expected: top-1 82.6 (table 5; derived from the differences that the paper's text states). Not run in full by this
          project.
Memory:   not measured on a GPU.

Table 5, row 4: row 3 with GC ViT's downsampler; all blocks local. Row 5, with global attention, is GC ViT-T itself.
"""

_base_ = '../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.GCViTLocal'))
