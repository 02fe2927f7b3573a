"""UPerNet, GC ViT-T without global attention. Paper: mIoU 45.8 (table 5, row 4)."""

_base_ = '_base_/upernet_gcvit_t.py'

start = 'work_dirs/gcvit_t_local_in1k/epoch_310.pth'
model = dict(backbone=dict(type='mmgcvit.GCViTLocal', init_cfg=dict(checkpoint=start)))
