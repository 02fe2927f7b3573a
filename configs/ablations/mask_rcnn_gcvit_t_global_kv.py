"""GC ViT-T with global keys and values, Mask R-CNN, COCO 2017, 36 epochs.

Expected: the paper's figure (table S.2) is not known here; its text says worse, most for dense tasks. Not run in full.

Table S.2, row 1: queries are local, keys and values are the global tokens.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.detection', 'mmgcvit.models.ablations'])

start = 'work_dirs/gcvit_t_global_kv_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.GCViTGlobalKeyValue', init_cfg=dict(type='Pretrained', checkpoint=start)))
