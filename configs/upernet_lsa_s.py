"""UPerNet, LSA-Small, ADE20K, 160,000 iterations.

Expected: nobody has published LSA for segmentation. Not run in full.

upernet_gcvit_t.py with another backbone, whose first two stages attend in windows: globally, a crop of 512x512 px has
16,384 tokens there. Three stages, of strides 4 to 16.
Starts from lsa_s_in1k.py's weights, which you train first.
"""

_base_ = 'upernet_gcvit_t.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmgcvit.LSA',
        arch='imagenet-small',
        window_size=(16, 16, None),
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/lsa_s_in1k/epoch_300.pth'),
    ),
    decode_head=dict(in_channels=[64, 192, 384], in_index=[0, 1, 2]),
    auxiliary_head=dict(in_channels=384),
)
