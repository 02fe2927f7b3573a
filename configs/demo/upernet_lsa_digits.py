"""The digits segmentor with LSA as its backbone: upernet_gcvit_digits.py with one setting changed, the backbone.

Starts from the classifier of lsa_digits_cls.py that comes with the project.

Run:  mmgcvit digits data/digits
      python tools/train.py configs/demo/upernet_lsa_digits.py
"""

_base_ = 'upernet_gcvit_digits.py'

lsa = dict(
    embed_dims=(16, 32, 64, 128),
    depths=(2, 2, 4, 2),
    num_heads=(1, 2, 4, 8),
    kernel_size=4,
    stride=4,
    padding=0,
    shifts=((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (0, 2), (0, -2), (2, 0), (-2, 0)),
    img_size=128,
    drop_path_rate=0.0,
)
start = dict(type='Pretrained', checkpoint='configs/demo/weights/lsa_digits_cls.safetensors')
model = dict(backbone=dict(_delete_=True, type='mmgcvit.LSA', arch=lsa, init_cfg=start))
