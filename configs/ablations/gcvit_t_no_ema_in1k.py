"""GC ViT-T without moving average, ImageNet-1K, 310 epochs, total batch 4096.

Expected: the paper's figure (table S.4) is not known here; its text says slightly less than with it. Not run in full.

Table S.4: no exponential moving average of the weights.
"""

_base_ = '../gcvit_t_in1k.py'

custom_hooks = []
