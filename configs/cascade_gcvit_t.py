"""Cascade Mask R-CNN, GC ViT-T, COCO 2017, 36 epochs.

Expected: box AP 51.6, mask AP 44.6 (the paper's, table 2). Not run in full by this project.
Memory:   not measured on a GPU.
Run:      tools/dist_train.sh configs/cascade_gcvit_t.py 8
          tools/dist_test.sh configs/cascade_gcvit_t.py CHECKPOINT 8

Windows of 16 in every stage: with them the model has the 770 G multiply-adds that the paper states.
Starts from the authors' ImageNet weights (CC BY-NC-SA 4.0: not for commercial use), downloaded once. Others:
    --cfg-options model.backbone.init_cfg.checkpoint=FILE_OR_ADDRESS
or without any:
    --cfg-options model.backbone.init_cfg=None
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn_gcvit.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/coco_36e_adamw.py',
    '_base_/runtime_det.py',
]

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)))
