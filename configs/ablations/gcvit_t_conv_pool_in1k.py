"""GC ViT-T with convolution and max pooling as downsampler. Paper: top-1 82.7 (table 8, row 1).

The paper does not say which convolution: here 3x3, then 3x3 max pooling of stride 2. In the stem
too.
"""

_base_ = '_base_/gcvit_t_in1k.py'

model = dict(backbone=dict(type='mmgcvit.GCViTConvPool'))
