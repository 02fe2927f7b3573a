"""Swin without shifting at GC ViT-T's sizes, Mask R-CNN, COCO 2017, 36 epochs.

Expected: box AP 46.8, mask AP 42.3 (table 5; derived from the differences that the paper's text states). Not run in
          full.

Table 5, row 2: width, depths, heads, MLP ratio and windows of GC ViT-T; Swin's patch embedding and merging, all
blocks local. Trained as GC ViT-T; the paper does not say how.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.detection', 'mmgcvit.models.ablations'])

start = 'work_dirs/swin_t_resized_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.SwinWithoutShifting', init_cfg=dict(type='Pretrained', checkpoint=start)))
