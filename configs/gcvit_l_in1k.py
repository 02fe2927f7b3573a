"""GC ViT-Large, ImageNet-1K, 310 epochs at 224 px, total batch 1024 (8 GPUs x 64 images x 2 accumulated steps).

Expected: top-1 85.7 (the paper's, table 1). Not run in full by this project.
Hours:    32 on 32 A100, the average of the paper's classifiers.
Memory:   not measured on a GPU.

What the paper leaves open, and what was chosen: heads of the schedule and the data under _base_.
"""

_base_ = [
    '_base_/models/gcvit_classifier.py',
    '_base_/datasets/imagenet_1k_gcvit_crop1.py',
    '_base_/schedules/imagenet_310e_bs1024.py',
    '_base_/runtime_cls.py',
]

model = dict(backbone=dict(arch='large'), head=dict(in_channels=1536))
