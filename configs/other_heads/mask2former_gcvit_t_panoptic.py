"""Mask2Former, GC ViT-T, panoptic segmentation of COCO 2017, 50 epochs. The best checkpoint has the highest PQ.

mmdet's mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic with another backbone.
"""

_base_ = [
    '../_base_/models/mask2former_gcvit.py',
    '../_base_/datasets/coco_panoptic_lsj.py',
    '../_base_/schedules/mask2former_50e_adamw.py',
    '../_base_/runtime_det.py',
]

default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=5000, save_best='coco_panoptic/PQ', rule='greater'),
)
log_processor = dict(by_epoch=False)

num_things, num_stuff = 80, 53
pad = dict(type='BatchFixedSizePad', size=(1024, 1024), img_pad_value=0, pad_mask=True, mask_pad_value=0, pad_seg=True)
released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(
    data_preprocessor=dict(pad_seg=True, seg_pad_value=255, batch_augments=[dict(**pad, seg_pad_value=255)]),
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)),
    panoptic_head=dict(
        num_stuff_classes=num_stuff, loss_cls=dict(class_weight=[1.0] * (num_things + num_stuff) + [0.1])
    ),
    panoptic_fusion_head=dict(num_stuff_classes=num_stuff),
    test_cfg=dict(panoptic_on=True),
)
