"""What every classification run shares: scope, hooks, logging, pictures."""

_base_ = 'tf32.py'

default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmgcvit'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type='mmgcvit.AsyncLossLogHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmgcvit.WholeCheckpointHook', interval=1, max_keep_ckpts=3, save_best='auto'),
    early_end=dict(type='mmgcvit.EndEarlyHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    exact_resume=dict(type='mmgcvit.ExactResumeHook'),
    safe_load=dict(type='mmgcvit.SafeLoadHook'),
    visualization=dict(type='mmgcvit.ValVisualizationHook'),
    skip_nonfinite=dict(type='mmgcvit.SkipNonFiniteStepHook', max_consecutive=3),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False
