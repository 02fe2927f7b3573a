"""GC ViT-T with global values, Mask R-CNN, COCO 2017, 36 epochs.

Expected: the paper's figure (table S.2) is not known here; its text says worse, most for dense tasks. Not run in full
          by this project.
Memory:   not measured on a GPU.

Table S.2, row 2: queries and keys are local, values are the global tokens.
Starts from gcvit_t_global_v_in1k.py's weights, which you train first.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.hosts.mmdet', 'mmgcvit.models.ablations'])

model = dict(
    backbone=dict(
        type='mmgcvit.GCViTGlobalValue',
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/gcvit_t_global_v_in1k/epoch_310.pth'),
    ),
)
