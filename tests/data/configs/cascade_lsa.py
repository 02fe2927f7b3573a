"""The model of cascade.py on LSA."""

_base_ = 'cascade.py'

lsa = dict(
    embed_dims=(16, 32, 64, 128),
    depths=(1, 1, 2, 1),
    num_heads=(1, 2, 4, 8),
    kernel_size=4,
    stride=4,
    padding=0,
    shifts=((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (0, 2), (0, -2), (2, 0), (-2, 0)),
    img_size=128,
)
model = dict(backbone=dict(_delete_=True, type='mmgcvit.LSA', arch=lsa))
