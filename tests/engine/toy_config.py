"""The toy config of the checkpoint tests with this project's hooks."""

_base_ = '../checkpoints/toy_config.py'

log_level = 'WARNING'
train_cfg = dict(_delete_=True, type='mmgcvit.EpochBasedTrainLoop', max_epochs=3)
default_hooks = dict(
    checkpoint=dict(
        type='mmgcvit.AtomicCheckpointHook', max_keep_ckpts=1, save_best='score', rule='greater'
    ),
    exact_resume=dict(type='mmgcvit.ExactResumeHook'),
)
