"""GC ViT-T without global attention, Mask R-CNN, COCO 2017, 36 epochs.

Expected: box AP 47.1, mask AP 42.6 (table 5; derived from the differences that the paper's text states). Not run in
          full by this project.
Memory:   not measured on a GPU.

Table 5, row 4: row 3 with GC ViT's downsampler; all blocks local. Row 5, with global attention, is GC ViT-T itself.
Starts from gcvit_t_local_in1k.py's weights, which you train first.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.hosts.mmdet', 'mmgcvit.models.ablations'])

model = dict(
    backbone=dict(
        type='mmgcvit.GCViTLocal',
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/gcvit_t_local_in1k/epoch_310.pth'),
    ),
)
