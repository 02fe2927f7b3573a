"""The Mask2Former of configs/demo, for random weights."""

_base_ = '../../../configs/demo/mask2former_gcvit_digits.py'

model = dict(backbone=dict(init_cfg=None))
