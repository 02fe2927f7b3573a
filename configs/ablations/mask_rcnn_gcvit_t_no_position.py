"""GC ViT-T without position bias, Mask R-CNN, COCO 2017, 36 epochs.

Expected: no figure is published. Not run in full.

No relative position bias in any attention. In no table of the paper.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.detection', 'mmgcvit.models.ablations'])

start = 'work_dirs/gcvit_t_no_position_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.GCViTWithoutPosition', init_cfg=dict(type='Pretrained', checkpoint=start)))
