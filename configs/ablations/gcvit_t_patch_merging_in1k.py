"""GC ViT-T with Swin's patch merging as downsampler, in the stem too. Paper: top-1 82.9 (table 8,
row 2).
"""

_base_ = '_base_/gcvit_t_in1k.py'

model = dict(backbone=dict(type='mmgcvit.GCViTPatchMerging'))
