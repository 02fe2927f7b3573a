"""Shared by all detection runs."""

_base_ = 'runtime.py'

default_scope = 'mmdet'
# mmdet's tools/test.py --show-dir enables it.
default_hooks = dict(visualization=dict(type='DetVisualizationHook'))
custom_imports = dict(imports=['mmgcvit', 'mmgcvit.fixes.mmdet'], allow_failed_imports=False)
visualizer = dict(
    type='DetLocalVisualizer',
    name='visualizer',
    line_width=2,
)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
