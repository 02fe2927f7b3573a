"""GC ViT-T without position bias, UPerNet, ADE20K, 160,000 iterations.

Expected: no figure is published. Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in ../upernet_gcvit_t.py.

No relative position bias in any attention. In no table of the paper.
Starts from gcvit_t_no_position_in1k.py's weights, which you train first.
"""

_base_ = '../upernet_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(
    backbone=dict(
        type='mmgcvit.GCViTWithoutPosition',
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/gcvit_t_no_position_in1k/epoch_310.pth'),
    ),
)
