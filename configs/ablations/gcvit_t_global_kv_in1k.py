"""GC ViT-T with local queries, global keys and values (table S.2, row 1)."""

_base_ = '../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.GCViTGlobalKeyValue'))
