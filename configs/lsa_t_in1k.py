"""LSA-Tiny, ImageNet-1K, 300 epochs, total batch 736 (8 GPUs x 92 images).

Expected: top-1 76.0 (the paper's). Not run in full by this project.
Memory:   not measured on a GPU.

The learning rate starts from 5e-7 and ends at 5e-6 for each 512 images: the released script multiplies both by 736/512
as it does the rate itself, unlike the other models' scripts; the paper names neither.
Patches of 7x7 px, as in the paper's table 2. The released script's default are 9x9 px at the same stride, with which
the model has the 9.9 M parameters that the paper states, here 9.7 M.
What the paper leaves open, and what was chosen: heads of the schedule and the data under _base_.
"""

_base_ = [
    '_base_/models/lsa_classifier.py',
    '_base_/datasets/imagenet_1k.py',
    '_base_/schedules/lsa_300e.py',
    '_base_/runtime_cls.py',
]

train_dataloader = dict(batch_size=92)

scale = 8 * 92 / 512
param_scheduler = [
    dict(type='LinearLR', start_factor=5e-7 / 5e-4, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=5e-6 * scale, by_epoch=True, begin=20, end=300, convert_to_iter_based=True),
]
