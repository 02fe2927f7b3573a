"""DINO with 4 scales, GC ViT-L, COCO 2017, 36 epochs, its weights and optimizer shared out among the GPUs (FSDP).

Expected: as dino_gcvit_l.py, box AP 58.3 (the paper's, table 2). Not run in full.
Memory:   not measured on a GPU. Of weights and optimizer states each of 8 GPUs holds an eighth; gradients are whole
          until the second image is in.

Each GPU takes one image at a time and two before each step: the total batch is 16 as in dino_gcvit_l.py, and the
warm-up's iterations are twice as many. Backbone and neck in bfloat16, for which mmcv has no operators of the
transformer's; every block of the backbone is gathered on its own and recomputed in the backward pass.
Checkpoints hold the whole model, as those of any other config. What differs from DINO's own recipe: dino_gcvit_l.py.
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
