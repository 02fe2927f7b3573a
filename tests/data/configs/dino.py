"""A small DINO on GC ViT, of the parts of configs/dino_gcvit_t_12e.py, with the data of the digits."""

_base_ = ['../../../configs/dino_gcvit_t_12e.py', '../../../configs/_base_/digits.py']

train_dataloader = _base_.digits.train_dataloader
val_dataloader = _base_.digits.val_dataloader
test_dataloader = val_dataloader
val_evaluator = _base_.digits.val_evaluator
test_evaluator = val_evaluator
channels = 32
attention = dict(embed_dims=channels, num_heads=4)
ffn = dict(embed_dims=channels, feedforward_channels=64)
model = dict(
    num_queries=30,
    backbone=dict(_base_.digits.backbone, init_cfg=None),
    neck=dict(in_channels=[32, 64, 128], out_channels=channels, norm_cfg=dict(num_groups=4)),
    encoder=dict(num_layers=2, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=ffn)),
    decoder=dict(
        num_layers=2, layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=ffn)
    ),
    positional_encoding=dict(num_feats=channels // 2),
    bbox_head=dict(num_classes=10, embed_dims=channels),
    test_cfg=dict(max_per_img=20),
)
