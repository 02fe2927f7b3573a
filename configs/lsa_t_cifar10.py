"""LSA-Tiny, CIFAR-10, 300 epochs, total batch 736. Paper: top-1 97.00."""

_base_ = [
    '_base_/models/gcvit_classifier.py',
    '_base_/datasets/cifar10.py',
    '_base_/schedules/lsa_300e.py',
    '_base_/runtime_cls.py',
]

model = dict(
    backbone=dict(type='mmgcvit.LSA', arch='cifar-tiny'), head=dict(num_classes=10, in_channels=192)
)
# The warm-up takes 5 epochs.
warmup, cosine = dict(_base_.warmup, end=5), dict(_base_.cosine, begin=5)
param_scheduler = [warmup, cosine]
