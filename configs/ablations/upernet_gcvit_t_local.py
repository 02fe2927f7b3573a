"""GC ViT-T without global attention, UPerNet, ADE20K, 160,000 iterations.

Expected: mIoU 45.8 (table 5; derived from the differences that the paper's text states). Not run in full by this
          project.
Memory:   not measured on a GPU.
--amp:    as in ../upernet_gcvit_t.py.

Table 5, row 4: row 3 with GC ViT's downsampler; all blocks local. Row 5, with global attention, is GC ViT-T itself.
Starts from gcvit_t_local_in1k.py's weights, which you train first.
"""

_base_ = '../upernet_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(
    backbone=dict(
        type='mmgcvit.GCViTLocal',
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/gcvit_t_local_in1k/epoch_310.pth'),
    ),
)
