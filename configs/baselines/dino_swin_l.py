"""DINO with 4 scales, Swin-L pretrained on ImageNet-21K, COCO 2017, 36 epochs.

Expected: box AP 58.1, published for DINO with 4 scales on Swin-L by detrex. Not run in full.

DINO's recipe as mmdet's dino-5scale_swin-l_8xb2-36e_coco has it: weight decay 1e-4, no warm-up, drop path 0.2. detrex,
whose figure that is, steps after 33 epochs only, and starts from the weights fine-tuned on ImageNet-1K.
"""

_base_ = 'dino_swin_l_gcvit_recipe.py'

param_scheduler = _base_.param_scheduler[1:]
optim_wrapper = dict(
    optimizer=dict(weight_decay=1e-4),
    paramwise_cfg=dict(_delete_=True, custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
