"""DINO with 4 scales, Swin-L pretrained on ImageNet-21K, COCO 2017, 36 epochs: GC ViT's recipe.

Expected: no figure is published for this recipe; dino_swin_l.py has the network's own. Not run in full.

Swin-L in the place of GC ViT, all else as ../dino_gcvit_l.py, drop path included, for a comparison like for like. Two
of Swin's norms have names that the recipe's rules do not know. ``mmgcvit.DINO`` comes from there too: mmdet's own
decoder has another layer in onedl-mmdetection 3.5.1, docs/forks.md.
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
    neck=dict(in_channels=[384, 768, 1536]),
)
undecayed = ('patch_embed.norm.weight', 'patch_embed.norm.bias', 'downsample.norm.weight', 'downsample.norm.bias')
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={key: dict(lr_mult=0.1, decay_mult=0.0) for key in undecayed}),
)
