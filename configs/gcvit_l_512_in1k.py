"""GC ViT-Large, as gcvit_l_384_in1k.py but at 512 px: top-1 87.6 (table 6), of those weights."""

_base_ = 'gcvit_l_384_in1k.py'

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_21k_large_512.pth.tar'
model = dict(
    backbone=dict(window_size=(16, 16, 32, 16), pretrain_img_size=512, init_cfg=dict(checkpoint=released)),
)

train_pipeline = _base_.train_pipeline
for (crop,) in train_pipeline[1].transforms:
    crop.scale = 512
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (512, 512)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
del crop
