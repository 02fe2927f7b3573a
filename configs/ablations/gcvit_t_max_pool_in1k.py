"""GC ViT-T with max pooling in the downsampler, ImageNet-1K, 310 epochs, total batch 4096.

Expected: no figure is published. Not run in full by this project.
Memory:   not measured on a GPU.

The downsampler as section 2 of the paper and the poster draw it; section 4.3 and the released weights have a strided
convolution in the pooling's place. A 1x1 convolution widens the channels, which the paper leaves open.
"""

_base_ = '../gcvit_t_in1k.py'

custom_imports = dict(imports=['mmgcvit.models.ablations'])

model = dict(backbone=dict(type='mmgcvit.GCViTMaxPool'))
