"""Mask R-CNN, GC ViT-T, COCO 2017, 36 epochs.

Expected: box AP 47.9, mask AP 43.2 (the paper's, table 2). Not run in full.

Windows of 16 in every stage: with them the model has the 291 G multiply-adds that the paper states.
"""

_base_ = [
    '_base_/models/mask_rcnn_gcvit.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/coco_36e_adamw.py',
    '_base_/runtime_det.py',
]

optim_wrapper = dict(type='mmgcvit.AutoPrecisionOptimWrapper', loss_scale='dynamic')

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)))
