"""UPerNet, LSA-Small, ADE20K, 160,000 iterations; unpublished.

upernet_gcvit_t.py with the backbone of mask_rcnn_lsa_s.py. Starts from the weights that
lsa_s_in1k.py trains. A training step with 2 images peaks at 4.1 GB in float32, 3.4 GB in bf16
(H200, docs/performance.md).
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
