"""GC ViT-T with local queries and keys, global values (table S.2, row 2)."""

_base_ = '_base_/gcvit_t_in1k.py'

model = dict(backbone=dict(type='mmgcvit.GCViTGlobalValue'))
