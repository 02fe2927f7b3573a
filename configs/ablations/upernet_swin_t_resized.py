"""UPerNet, Swin without shifting at GC ViT-T's sizes. Paper: mIoU 45.3 (table 5, row 2)."""

_base_ = '_base_/upernet_gcvit_t.py'

start = 'work_dirs/swin_t_resized_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.SwinWithoutShifting', init_cfg=dict(checkpoint=start)))
