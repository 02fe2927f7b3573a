"""DINO with 4 scales, Swin-L pretrained on ImageNet-21K, COCO 2017, 36 epochs. detrex: box AP 58.1.

mmdet's dino-5scale_swin-l_8xb2-36e_coco with 4 scales and images padded to a multiple of 32. As
mmdet's, it starts from weights of ImageNet-21K alone; detrex starts from weights fine-tuned on
ImageNet-1K, steps after 33 epochs only and does not decay norms. Type ``mmgcvit.DINO``:
onedl-mmdetection 3.5.1 has another decoder, docs/forks.md.
"""

_base_ = '../dino_gcvit_l.py'

released = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window12_384_22k.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        pretrain_img_size=384,
        embed_dims=192,
        depths=(2, 2, 18, 2),
        num_heads=(6, 12, 24, 48),
        window_size=12,
        drop_path_rate=0.2,
        out_indices=(1, 2, 3),
        with_cp=True,
        convert_weights=True,
        init_cfg=dict(type='Pretrained', checkpoint=released),
    ),
)
param_scheduler = [_base_.steps]
optim_wrapper = dict(
    optimizer=dict(weight_decay=1e-4),
    paramwise_cfg=dict(_delete_=True, custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
