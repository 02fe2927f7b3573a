"""What every run shares: hooks, logging, processes. Each hook of this project's own says in a line why it is there."""

_base_ = 'tf32.py'

custom_imports = dict(imports=['mmgcvit'], allow_failed_imports=False)

default_hooks = dict(
    # mmengine's waits for the GPU at each iteration to read the losses.
    runtime_info=dict(type='mmgcvit.AsyncLossLogHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # mmengine's removes the old checkpoint before the new one is written.
    checkpoint=dict(type='mmgcvit.AtomicCheckpointHook', interval=1, max_keep_ckpts=3, save_best='auto'),
    # Saves when a scheduler announces that it ends the job.
    preemption=dict(type='mmgcvit.PreemptionHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Saves logs and schedules as plain values, from which a resumed run goes on bit for bit.
    exact_resume=dict(type='mmgcvit.ExactResumeHook'),
    # mmengine's reading of checkpoints may run code in them.
    safe_load=dict(type='mmgcvit.SafeLoadHook'),
    # Draws predictions for the same eight images at each validation.
    visualization=dict(type='mmgcvit.ValVisualizationHook'),
    # One step with a loss that is NaN or infinite would spoil every weight.
    skip_nonfinite=dict(type='mmgcvit.SkipNonFiniteStepHook', max_consecutive=3),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_level = 'INFO'
load_from = None
resume = False
