"""GC ViT-T without position bias, ImageNet-1K, 310 epochs, total batch 4096.

Expected: no figure is published. Not run in full by this project.
Memory:   not measured on a GPU.

No relative position bias in any attention. In no table of the paper.
"""

_base_ = '../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.GCViTWithoutPosition'))
