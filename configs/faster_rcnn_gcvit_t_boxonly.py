"""Faster R-CNN, GC ViT-T, COCO 2017 with boxes only, 36 epochs.

mask_rcnn_gcvit_t.py without its mask head, with DETR's augmentation.
A training step with 2 images peaks at 9.0 GB in float32, 5.8 GB in bf16 (H200,
docs/performance.md).
"""

_base_ = [
    '_base_/models/faster_rcnn_gcvit.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/coco_36e_adamw.py',
    '_base_/runtime_det.py',
]

# Images without objects add little to a two-stage detector.
train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=True)))
tta_model = dict(tta_cfg=dict(nms=dict(iou_threshold=0.5), max_per_img=100))

optim_wrapper = dict(type='mmgcvit.AutoPrecisionOptimWrapper', loss_scale='dynamic')
