"""Mask R-CNN, Swin without shifting at GC ViT-T's sizes. Paper: box AP 46.8, mask AP 42.3 (table 5,
row 2).
"""

_base_ = '_base_/mask_rcnn_gcvit_t.py'

start = 'work_dirs/swin_t_resized_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.SwinWithoutShifting', init_cfg=dict(checkpoint=start)))
