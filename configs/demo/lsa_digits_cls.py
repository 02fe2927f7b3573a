"""A small LSA classifier of scanned digits, 32 px, 2 CPU cores: three minutes.

gcvit_digits_cls.py with another backbone.

Run:  python tools/make_digits.py data/digits
      python tools/train.py configs/demo/lsa_digits_cls.py
"""

_base_ = ['gcvit_digits_cls.py', '../_base_/digits.py']

arch = dict(_base_.lsa, img_size=32, drop_path_rate=0.05)
model = dict(backbone=dict(_delete_=True, type='mmgcvit.LSA', arch=arch, out_indices=(3,)))
# Its weights were trained without decay of the position embeddings; the recipe decays them.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(_delete_=True, pos_embed=dict(decay_mult=0.0)))
)
custom_hooks = [dict(type='EMAHook', momentum=0.02)]
