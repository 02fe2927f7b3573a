"""GC ViT-T with Swin's patch merging as downsampler, ImageNet-1K, 310 epochs, total batch 4096.

Expected: top-1 82.9 (the paper's, table 8). Not run in full by this project.
Memory:   not measured on a GPU.

Table 8, row 2. In the stem too, which the paper leaves open.
"""

_base_ = '../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.GCViTPatchMerging'))
