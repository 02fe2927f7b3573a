"""Swin without shifting at GC ViT-T's sizes and with its stem, Mask R-CNN, COCO 2017, 36 epochs.

Expected: box AP 47.0, mask AP 42.5 (table 5; derived from the differences that the paper's text states). Not run in
          full.

Table 5, row 3: row 2 with GC ViT's stem; between stages still Swin's patch merging. Trained as GC ViT-T; the paper
does not say how.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.detection', 'mmgcvit.models.ablations'])

start = 'work_dirs/swin_t_gcvit_stem_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.SwinWithGCViTStem', init_cfg=dict(type='Pretrained', checkpoint=start)))
