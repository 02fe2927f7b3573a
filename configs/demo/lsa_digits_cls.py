"""A small LSA classifier of scanned digits, 32 px, 2 CPU cores: three minutes.

gcvit_digits_cls.py with another backbone.

Run:  python tools/make_digits.py data/digits
      python tools/train.py configs/demo/lsa_digits_cls.py
"""

_base_ = 'gcvit_digits_cls.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmgcvit.LSA',
        arch=dict(
            embed_dims=(16, 32, 64, 128),
            depths=(2, 2, 4, 2),
            num_heads=(1, 2, 4, 8),
            kernel_size=4,
            stride=4,
            padding=0,
            shifts=((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (0, 2), (0, -2), (2, 0), (-2, 0)),
            img_size=32,
        ),
        drop_path_rate=0.05,
        out_indices=(3,),
    ),
)
# Its weights were trained without decay of the position embeddings; the recipe decays them.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(_delete_=True, pos_embed=dict(decay_mult=0.0))))
custom_hooks = [dict(type='EMAHook', momentum=0.02)]
