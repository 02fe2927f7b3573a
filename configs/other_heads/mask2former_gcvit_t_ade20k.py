"""Mask2Former, GC ViT-T, semantic segmentation of ADE20K, 160,000 iterations.

mmseg's mask2former_swin-t_8xb2-160k_ade20k-512x512 with another backbone.
"""

_base_ = [
    '../_base_/models/mask2former_gcvit_seg.py',
    '../_base_/datasets/ade20k_512.py',
    '../_base_/schedules/mask2former_160k_adamw.py',
    '../_base_/runtime_seg.py',
]

custom_imports = dict(imports=['mmgcvit', 'mmgcvit.fixes.mmdet', 'mmgcvit.fixes.mmseg'])
default_hooks = dict(checkpoint=dict(interval=5000))

resize = dict(
    type='RandomChoiceResize',
    scales=[512 * tenth // 10 for tenth in range(5, 21)],
    resize_type='ResizeShortestEdge',
    max_size=2048,
)
train_pipeline = [resize if step.type == 'RandomResize' else step for step in _base_.train_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
