"""The RTMDet-Ins of configs/demo, for random weights."""

_base_ = '../../../configs/demo/rtmdet_ins_gcvit_digits.py'

model = dict(backbone=dict(init_cfg=None))
