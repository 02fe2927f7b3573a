"""Keypoints of people, top-down by heatmaps, GC ViT-T, COCO 2017, 210 epochs, crops of 256x192 px.
Needs mmpose.

mmpose's config with another backbone. Windows are an eighth of the first map and the whole of the
last, as those of the classifier at 224 px, so that no map is padded.
"""

_base_ = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192.py'
)

custom_imports = dict(imports=['mmgcvit'], allow_failed_imports=False)
released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmgcvit.GCViT',
        arch='tiny',
        window_size=((8, 6), (8, 6), (16, 12), (8, 6)),
        drop_path_rate=0.2,
        out_indices=(3,),
        init_cfg=dict(type='Pretrained', checkpoint=released),
    ),
    head=dict(in_channels=512),
)
