"""GC ViT-T with windows of 7 in every stage, as Swin-T has them, ImageNet-1K, 310 epochs, total batch 4096.

Expected: no figure is published. Asked for one, the authors said: for some models a negligible loss. Not run in full.

GC ViT-T has windows of 7, 7, 14 and 7: in the third stage attention reaches twice as far as Swin-T's. In no table of
the paper; https://github.com/NVlabs/GCVit/issues/22.
"""

_base_ = '../gcvit_t_in1k.py'

model = dict(backbone=dict(window_size=7))
