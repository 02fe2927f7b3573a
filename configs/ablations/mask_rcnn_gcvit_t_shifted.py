"""GC ViT-T with shifted windows, Mask R-CNN, COCO 2017, 36 epochs.

Expected: no figure is published. Not run in full.

Swin's shifted windows in the place of global attention, all else as GC ViT-T. In no table of the paper.
"""

_base_ = '../mask_rcnn_gcvit_t.py'

custom_imports = dict(imports=['mmgcvit.detection', 'mmgcvit.models.ablations'])

start = 'work_dirs/gcvit_t_shifted_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.GCViTShifted', init_cfg=dict(type='Pretrained', checkpoint=start)))
