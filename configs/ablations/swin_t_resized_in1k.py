"""Swin without shifting at GC ViT-T's sizes. Paper: top-1 81.9 (table 5, row 2)."""

_base_ = '_base_/gcvit_t_in1k.py'

model = dict(backbone=dict(type='mmgcvit.SwinWithoutShifting'))
