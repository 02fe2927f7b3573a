"""Mask R-CNN, GC ViT-S with windows of 24, COCO 2017, 36 epochs.

Expected: no figure is published for these windows: those that the paper states go with windows of 16, see
          mask_rcnn_gcvit_s.py. Not run in full by this project.
Memory:   not measured on a GPU.

Windows of 24 in every stage, as in the detection code that the authors released later; more multiply-adds and memory.
"""

_base_ = 'mask_rcnn_gcvit_s.py'

model = dict(backbone=dict(window_size=24))
