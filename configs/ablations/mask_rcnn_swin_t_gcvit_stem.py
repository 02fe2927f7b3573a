"""Mask R-CNN, Swin without shifting at GC ViT-T's sizes, with its stem. Paper: box AP 47.0, mask AP
42.5 (table 5, row 3).
"""

_base_ = '_base_/mask_rcnn_gcvit_t.py'

start = 'work_dirs/swin_t_gcvit_stem_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.SwinWithGCViTStem', init_cfg=dict(checkpoint=start)))
