"""Mask R-CNN, Swin-T, COCO 2017, 36 epochs.

Expected: box AP 46.0, mask AP 41.6 (as GC ViT's paper states them, table 2). Not run in full.

Swin's recipe as mmdet's mask-rcnn_swin-t-p4-w7_fpn_amp-ms-crop-3x_coco has it: GC ViT's with a shorter warm-up.
"""

_base_ = 'mask_rcnn_swin_t_gcvit_recipe.py'

param_scheduler = [dict(_base_.param_scheduler[0], end=1000), _base_.param_scheduler[1]]
