"""dino.py, its model shared out among the processes and its blocks recomputed, as in configs/dino_gcvit_l_fsdp.py."""

_base_ = 'dino.py'

runner_type = 'FlexibleRunner'
strategy = dict(
    type='mmgcvit.FSDPStrategy',
    model_wrapper=dict(
        type='MMFullyShardedDataParallel',
        use_orig_params=True,
        auto_wrap_policy=dict(type='mmgcvit.wrap_blocks'),
    ),
)
optim_wrapper = dict(type='mmgcvit.AutoPrecisionOptimWrapper', dtype='bfloat16', use_fsdp=True)
model = dict(backbone=dict(with_cp=True))
