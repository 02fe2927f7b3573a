"""The toy of the checkpoints' tests with this project's hooks, and with faults that the environment chooses."""

_base_ = '../checkpoints/toy_config.py'

custom_imports = dict(imports=['mmgcvit', 'tests.checkpoints.toy', 'tests.engine.toy'], allow_failed_imports=False)
log_level = 'WARNING'
val_evaluator = dict(_delete_=True, type='BetterEveryTime')
train_cfg = dict(_delete_=True, type='mmgcvit.EpochBasedTrainLoop', max_epochs=3)
default_hooks = dict(
    checkpoint=dict(type='mmgcvit.AtomicCheckpointHook', max_keep_ckpts=1),
    exact_resume=dict(type='mmgcvit.ExactResumeHook'),
    preemption=dict(type='mmgcvit.PreemptionHook', interval=1),
    dies=dict(type='DiesWhileSaving'),
    warned=dict(type='IsWarned'),
)
