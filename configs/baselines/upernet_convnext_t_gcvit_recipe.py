"""UPerNet, ConvNeXt-T, ADE20K, 160,000 iterations: GC ViT's recipe.

Expected: no figure is published for this recipe; upernet_convnext_t.py has the network's own. Not run in full.

ConvNeXt-T in the place of GC ViT, all else as ../upernet_gcvit_t.py, drop path included, for a comparison like for
like.
"""

_base_ = ['../upernet_gcvit_t.py', '../_base_/models/convnext_t.py']

custom_imports = dict(imports=['mmgcvit', 'mmpretrain.models'])

model = dict(
    backbone=dict(_base_.convnext, _delete_=True, drop_path_rate=0.3),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
