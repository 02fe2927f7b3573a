"""Cascade Mask R-CNN, GC ViT-T, COCO 2017, 36 epochs.

Expected: box AP 51.6, mask AP 44.6 (the paper's, table 2). Not run in full.

Windows of 16 in every stage: with them the model has the 770 G multiply-adds that the paper states.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn_gcvit.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/coco_36e_adamw.py',
    '_base_/runtime_det.py',
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)))
