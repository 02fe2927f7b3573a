"""ConvNeXt-T in the place of GC ViT, as mmdet and mmseg have it: ``convnext``, with weights of
ImageNet-1K.
"""

convnext_released = 'https://mmassets.onedl.ai/mmclassification/v0/convnext/downstream/convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth'
convnext = dict(
    type='mmpretrain.ConvNeXt',
    arch='tiny',
    out_indices=(0, 1, 2, 3),
    drop_path_rate=0.4,
    layer_scale_init_value=1.0,
    gap_before_final_norm=False,
    init_cfg=dict(type='Pretrained', checkpoint=convnext_released, prefix='backbone.'),
)
