"""GC ViT-Tiny, ImageNet-1K, 310 epochs at 224 px, batch 4096. Paper: top-1 83.5 (table 1)."""

_base_ = [
    '_base_/models/gcvit_classifier.py',
    '_base_/datasets/imagenet_1k_gcvit_crop1.py',
    '_base_/schedules/imagenet_310e_bs4096.py',
    '_base_/runtime_cls.py',
]

model = dict(backbone=dict(arch='tiny'), head=dict(in_channels=512))
train_dataloader = dict(batch_size=512)
