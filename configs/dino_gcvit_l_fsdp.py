"""DINO with 4 scales, GC ViT-L, COCO 2017, 36 epochs, its weights and optimizer sharded over the GPUs (FSDP).

As dino_gcvit_l.py, box AP 58.3, with one image a GPU and two accumulated steps, so that the warm-up has twice as many
iterations. Backbone and neck are in bfloat16; mmcv has no operators in it for the transformer. Of weights and optimizer
states each of 8 GPUs holds an eighth; the memory was not measured. Checkpoints hold the whole model.
"""

_base_ = 'dino_gcvit_l.py'

runner_type = 'FlexibleRunner'
strategy = dict(
    type='mmgcvit.FSDPStrategy',
    model_wrapper=dict(
        type='MMFullyShardedDataParallel',
        use_orig_params=True,
        auto_wrap_policy=dict(type='mmgcvit.wrap_blocks'),
    ),
)
train_dataloader = dict(batch_size=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=5000),
    dict(type='MultiStepLR', begin=0, end=36, by_epoch=True, milestones=[27, 33], gamma=0.1),
]
# Images of one forward pass over all GPUs, as mmengine counts them: accumulated steps are not in it.
auto_scale_lr = dict(base_batch_size=8)
optim_wrapper = dict(type='mmgcvit.AutoPrecisionOptimWrapper', dtype='bfloat16', use_fsdp=True, accumulative_counts=2)
