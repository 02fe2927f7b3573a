"""Cascade Mask R-CNN, Swin-T, COCO 2017, 36 epochs.

Expected: box AP 50.4, mask AP 43.7 (as GC ViT's paper states them, table 2). Not run in full.

Swin's recipe: of Swin's repository drop path 0.2 and mixed precision, of mmdet's Mask R-CNN on Swin the warm-up; mmdet
has no such config.
"""

_base_ = 'cascade_swin_t_gcvit_recipe.py'

param_scheduler = [dict(_base_.param_scheduler[0], end=1000), _base_.param_scheduler[1]]
optim_wrapper = dict(type='mmgcvit.AutoPrecisionOptimWrapper', loss_scale='dynamic')
