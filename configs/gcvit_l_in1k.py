"""GC ViT-Large, ImageNet-1K, 310 epochs at 224 px, total batch 1024 (8 GPUs x 64 images x 2 accumulated steps).

Expected: top-1 85.7 (the paper's, table 1). Not run in full by this project.
Run:      tools/dist_train.sh configs/gcvit_l_in1k.py 8
          tools/dist_test.sh configs/gcvit_l_in1k.py CHECKPOINT 8

What the paper leaves open, and what was chosen: heads of the schedule and the data under _base_.
"""

_base_ = [
    '_base_/models/gcvit_classifier.py',
    '_base_/datasets/imagenet_1k.py',
    '_base_/schedules/imagenet_310e_bs1024.py',
    '_base_/runtime_cls.py',
]

model = dict(backbone=dict(arch='large'), head=dict(in_channels=1536))
