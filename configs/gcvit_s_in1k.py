"""GC ViT-Small, ImageNet-1K, 310 epochs at 224 px, total batch 1024 (8 GPUs x 64 images x 2 accumulated steps).

Expected: top-1 84.3 (the paper's, table 1). Not run in full.
"""

_base_ = [
    '_base_/models/gcvit_classifier.py',
    '_base_/datasets/imagenet_1k_gcvit.py',
    '_base_/schedules/imagenet_310e_bs1024.py',
    '_base_/runtime_cls.py',
]

model = dict(backbone=dict(arch='small'), head=dict(in_channels=768))
