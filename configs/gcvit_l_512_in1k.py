"""GC ViT-Large, as gcvit_l_384_in1k.py but at 512 px. Paper: top-1 87.6 (table 6), of those
weights.
"""

_base_ = 'gcvit_l_384_in1k.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_21k_large_512.pth.tar'
model = dict(
    backbone=dict(
        window_size=(16, 16, 32, 16), pretrain_img_size=512, init_cfg=dict(checkpoint=released)
    ),
)

crops = [[dict(_base_.crop, scale=512, interpolation=name)] for name in _base_.interpolations]
train_pipeline = [
    _base_.load,
    dict(type='RandomChoice', transforms=crops),
    _base_.flip,
    _base_.pack,
]
test_pipeline = [_base_.load, dict(_base_.squash, scale=(512, 512)), _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
