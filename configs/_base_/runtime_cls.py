"""Shared by all classification runs."""

_base_ = 'runtime.py'

default_scope = 'mmpretrain'
default_hooks = dict(logger=dict(interval=100))
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
