"""Shared by all classification runs."""

_base_ = 'runtime.py'

default_scope = 'mmpretrain'
default_hooks = dict(
    logger=dict(interval=100),
    # mmpretrain's tools/test.py --show-dir enables it.
    visualization=dict(type='VisualizationHook'),
)
# Images have one size.
env_cfg = dict(cudnn_benchmark=True)
visualizer = dict(type='UniversalVisualizer')
