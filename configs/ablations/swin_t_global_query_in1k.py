"""Swin-T with GC ViT's global attention in the place of shifted windows. Paper: top-1 82.2 (table
S.3), Swin-T 81.3.
"""

_base_ = 'swin_t_unshifted_in1k.py'

model = dict(backbone=dict(type='mmgcvit.SwinWithGlobalQuery'))
