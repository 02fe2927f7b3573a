"""GC ViT-T without global attention, Mask R-CNN, COCO 2017, 36 epochs.

Expected: box AP 47.1, mask AP 42.6 (table 5; derived from the differences that the paper's text states). Not run in
          full.

Table 5, row 4: row 3 with GC ViT's downsampler; all blocks local. Row 5, with global attention, is GC ViT-T itself.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.detection', 'mmgcvit.models.ablations'])

start = 'work_dirs/gcvit_t_local_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.GCViTLocal', init_cfg=dict(type='Pretrained', checkpoint=start)))
