"""GC ViT-Base, ImageNet-1K, 310 epochs at 224 px, batch 1024. Paper: top-1 85.0 (table 1)."""

_base_ = [
    '_base_/models/gcvit_classifier.py',
    '_base_/datasets/imagenet_1k_gcvit_crop1.py',
    '_base_/schedules/imagenet_310e_bs1024.py',
    '_base_/runtime_cls.py',
]

model = dict(backbone=dict(arch='base'), head=dict(in_channels=1024))
