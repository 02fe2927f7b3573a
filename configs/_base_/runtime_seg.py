"""Shared by all segmentation runs."""

_base_ = 'runtime.py'

custom_imports = dict(imports=['mmgcvit', 'mmgcvit.fixes.mmseg'], allow_failed_imports=False)
default_scope = 'mmseg'
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=16_000, save_best='mIoU'),
    # mmseg's tools/test.py --show-dir enables it.
    visualization=dict(type='SegVisualizationHook', interval=1),
)
env_cfg = dict(cudnn_benchmark=True)
visualizer = dict(type='SegLocalVisualizer', name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
