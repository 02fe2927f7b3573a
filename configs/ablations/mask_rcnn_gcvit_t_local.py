"""Mask R-CNN, GC ViT-T without global attention.

Paper: box AP 47.1, mask AP 42.6 (table 5, row 4).
"""

_base_ = '_base_/mask_rcnn_gcvit_t.py'

start = 'work_dirs/gcvit_t_local_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.GCViTLocal', init_cfg=dict(checkpoint=start)))
