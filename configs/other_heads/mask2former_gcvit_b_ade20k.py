"""Mask2Former, GC ViT-B, semantic segmentation of ADE20K, 160,000 iterations.

mmseg's mask2former_swin-b-in1k-384x384-pre_8xb2-160k_ade20k-640x640 with another backbone, whose
weights are of 224 px. Tests pad to a multiple of 32, as T's; mmseg's of B do not.
"""

_base_ = 'mask2former_gcvit_t_ade20k.py'

crop_size = (640, 640)
changed = dict(
    RandomChoiceResize=dict(scales=[640 * tenth // 10 for tenth in range(5, 21)], max_size=2560),
    RandomCrop=dict(crop_size=crop_size),
    Resize=dict(scale=(2560, 640)),
)
train_pipeline = [dict(step, **changed.get(step.type, {})) for step in _base_.train_pipeline]
test_pipeline = [dict(step, **changed.get(step.type, {})) for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_base.pth.tar'
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(arch='base', init_cfg=dict(checkpoint=released)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
)
