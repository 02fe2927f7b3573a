"""The digits segmentor with LSA as its backbone: upernet_gcvit_digits.py with one setting changed,
the backbone.

Starts from the project's weights of lsa_digits_cls.py.

Run:  python tools/make_digits.py data/digits
      python tools/train.py configs/demo/upernet_lsa_digits.py
"""

_base_ = 'upernet_gcvit_digits.py'

weights = __import__('mmgcvit').get_config_path('demo/weights/lsa_digits_cls.safetensors')
start = dict(type='Pretrained', checkpoint=weights)
model = dict(backbone=dict(_delete_=True, type='mmgcvit.LSA', arch=_base_.lsa, init_cfg=start))
