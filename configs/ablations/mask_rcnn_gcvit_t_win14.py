"""GC ViT-T with windows of 14, Mask R-CNN, COCO 2017, 36 epochs.

Expected: no figure is published for these windows. Not run in full by this project.
Memory:   not measured on a GPU.

Windows of 14 in every stage; ../mask_rcnn_gcvit_t.py has windows of 16, ../mask_rcnn_gcvit_t_win24.py of 24.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

model = dict(backbone=dict(window_size=14))
