"""UPerNet, ConvNeXt-T, ADE20K, 160,000 iterations: GC ViT's recipe.

Expected: no figure is published for this recipe; upernet_convnext_t.py has the network's own. Not run in full by this
          project.
Memory:   not measured on a GPU.
--amp:    as in ../upernet_gcvit_t.py.

ConvNeXt-T in the place of GC ViT, all else as ../upernet_gcvit_t.py, drop path included, for a comparison like for
like.
"""

_base_ = '../upernet_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit', 'mmpretrain.models'])

released = 'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ConvNeXt',
        arch='tiny',
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.3,
        layer_scale_init_value=1.0,
        gap_before_final_norm=False,
        init_cfg=dict(type='Pretrained', checkpoint=released, prefix='backbone.'),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
