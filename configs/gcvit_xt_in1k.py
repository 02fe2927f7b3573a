"""GC ViT-XTiny, ImageNet-1K, 310 epochs at 224 px, batch 4096. Paper: top-1 82.0 (table 1)."""

_base_ = [
    '_base_/models/gcvit_classifier.py',
    '_base_/datasets/imagenet_1k_gcvit.py',
    '_base_/schedules/imagenet_310e_bs4096.py',
    '_base_/runtime_cls.py',
]

model = dict(backbone=dict(arch='xtiny'), head=dict(in_channels=512))
train_dataloader = dict(batch_size=512)
