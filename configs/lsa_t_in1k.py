"""LSA-Tiny, ImageNet-1K, 300 epochs, total batch 736 (8 GPUs x 92 images).

Expected: top-1 76.0 (the paper's). Not run in full by this project.
Memory:   not measured on a GPU.
Run:      tools/dist_train.sh configs/lsa_t_in1k.py 8
          tools/dist_test.sh configs/lsa_t_in1k.py CHECKPOINT 8

What the paper leaves open, and what was chosen: heads of the schedule and the data under _base_.
"""

_base_ = [
    '_base_/models/lsa_classifier.py',
    '_base_/datasets/imagenet_1k.py',
    '_base_/schedules/lsa_300e.py',
    '_base_/runtime_cls.py',
]

train_dataloader = dict(batch_size=92)
