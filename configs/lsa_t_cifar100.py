"""LSA-Tiny, CIFAR-100, 300 epochs, total batch 736 (8 GPUs x 92 images).

Expected: top-1 81.80 (the paper's). Not run in full.
"""

_base_ = [
    '_base_/models/lsa_classifier.py',
    '_base_/datasets/cifar100.py',
    '_base_/schedules/lsa_300e_cifar.py',
    '_base_/runtime_cls.py',
]

model = dict(backbone=dict(arch='cifar-tiny'), head=dict(num_classes=100))
