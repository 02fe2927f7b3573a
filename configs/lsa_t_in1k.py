"""LSA-Tiny, ImageNet-1K, 300 epochs, total batch 736 (8 GPUs x 92 images).

Expected: top-1 76.0 (the paper's). Not run in full by this project.
Memory:   not measured on a GPU.

The learning rate starts from 5e-7 and ends at 5e-6, the defaults of the released script, which multiplies them by
736/512 as it does the rate itself; the paper names neither.
What the paper leaves open, and what was chosen: heads of the schedule and the data under _base_.
"""

_base_ = [
    '_base_/models/lsa_classifier.py',
    '_base_/datasets/imagenet_1k.py',
    '_base_/schedules/lsa_300e.py',
    '_base_/runtime_cls.py',
]

train_dataloader = dict(batch_size=92)

lr = 5e-4 * 8 * 92 / 512
param_scheduler = [
    dict(type='LinearLR', start_factor=5e-7 / lr, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=5e-6, by_epoch=True, begin=20, end=300, convert_to_iter_based=True),
]
