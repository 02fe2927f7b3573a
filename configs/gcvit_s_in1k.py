"""GC ViT-Small, ImageNet-1K, 310 epochs at 224 px, batch 1024. Paper: top-1 84.3 (table 1)."""

_base_ = [
    '_base_/models/gcvit_classifier.py',
    '_base_/datasets/imagenet_1k_gcvit.py',
    '_base_/schedules/imagenet_310e_bs1024.py',
    '_base_/runtime_cls.py',
]

model = dict(backbone=dict(arch='small'), head=dict(in_channels=768))
