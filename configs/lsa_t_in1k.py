"""LSA-Tiny, ImageNet-1K, 300 epochs, total batch 736 (8 GPUs x 92 images).

Expected: top-1 76.0 (the paper's). Not run in full.

The learning rate starts from 5e-7 and ends at 5e-6 for each 512 images: the released script multiplies both by 736/512
as it does the rate itself, unlike the other models' scripts; the paper names neither.
Patches of 7x7 px, as in the paper's table 2. The released script's default are 9x9 px at the same stride, with which
the model has the 9.9 M parameters that the paper states, here 9.7 M.
"""

_base_ = [
    '_base_/models/lsa_classifier.py',
    '_base_/datasets/imagenet_1k.py',
    '_base_/schedules/lsa_300e.py',
    '_base_/runtime_cls.py',
]

train_dataloader = dict(batch_size=92)

param_scheduler = [
    dict(_base_.param_scheduler[0], start_factor=5e-7 / 5e-4),
    dict(_base_.param_scheduler[1], eta_min=5e-6 * 8 * 92 / 512),
]
