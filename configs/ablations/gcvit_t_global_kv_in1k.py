"""GC ViT-T with local queries, global keys and values (table S.2, row 1)."""

_base_ = '_base_/gcvit_t_in1k.py'

model = dict(backbone=dict(type='mmgcvit.GCViTGlobalKeyValue'))
