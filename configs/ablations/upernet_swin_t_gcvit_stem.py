"""Swin without shifting at GC ViT-T's sizes and with its stem, UPerNet, ADE20K, 160,000 iterations.

Expected: mIoU 45.5 (table 5; derived from the differences that the paper's text states). Not run in full by this
          project.
Memory:   not measured on a GPU.
--amp:    as in ../upernet_gcvit_t.py.

Table 5, row 3: row 2 with GC ViT's stem; between stages still Swin's patch merging. Trained as GC ViT-T; the paper
does not say how.
Starts from swin_t_gcvit_stem_in1k.py's weights, which you train first.
"""

_base_ = '../upernet_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(
    backbone=dict(
        type='mmgcvit.SwinWithGCViTStem',
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/swin_t_gcvit_stem_in1k/epoch_310.pth'),
    ),
)
