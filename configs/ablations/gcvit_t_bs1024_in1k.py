"""GC ViT-T, ImageNet-1K, 310 epochs, total batch 1024 (8 GPUs x 64 images x 2 accumulated steps).

Expected: the paper's figure (table S.4) is not known here; its text says about the same as with a batch of 4096. Not
          run in full.

Table S.4. The row of a batch of 4096 is ../gcvit_t_in1k.py; its learning rate is the same.
"""

_base_ = [
    '../_base_/models/gcvit_classifier.py',
    '../_base_/datasets/imagenet_1k_gcvit_crop1.py',
    '../_base_/schedules/imagenet_310e_bs1024.py',
    '../_base_/runtime_cls.py',
]
