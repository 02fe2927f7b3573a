"""Swin-T in the place of GC ViT, as mmdet has it: ``swin``, with its authors' weights of
ImageNet-1K.
"""

swin_released = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth'
swin = dict(
    type='SwinTransformer',
    drop_path_rate=0.2,
    convert_weights=True,
    init_cfg=dict(type='Pretrained', checkpoint=swin_released),
)
