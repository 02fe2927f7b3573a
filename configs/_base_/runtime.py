"""Shared by all runs: hooks, logging, processes. Each hook of this project has its reason above it."""

custom_imports = dict(imports=['mmgcvit'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # mmengine's removes the old checkpoint before the new one is written.
    checkpoint=dict(
        type='mmgcvit.AtomicCheckpointHook', interval=1, max_keep_ckpts=3, save_best='auto'
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Makes resuming bit-exact.
    exact_resume=dict(type='mmgcvit.ExactResumeHook'),
    # mmengine's checkpoint loading may run code.
    safe_load=dict(type='mmgcvit.SafeLoadHook'),
    # Draws predictions for eight images at each validation.
    val_visualization=dict(type='mmgcvit.ValVisualizationHook'),
    # One step with a NaN loss would destroy all weights.
    skip_nonfinite=dict(type='mmgcvit.SkipNonFiniteStepHook', max_consecutive=3),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False
