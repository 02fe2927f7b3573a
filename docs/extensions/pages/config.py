"""A small network with a linear head on pages of digits (pages_of_digits.py): two minutes on a CPU
core.

docs/why_global_queries.md sets the type of the backbone for each row of its table. Maps of 18 and 9
px are cut into 3 x 3 windows each, which are the cells of the digits. Swin's patches do not
overlap, so nothing passes from one cell to another but by the blocks that a row replaces.
"""

_base_ = __import__('mmgcvit').get_config_path('upernet_gcvit_t.py')

custom_imports = dict(imports=['mmgcvit.models.ablations', 'pages_of_digits'])

# Data
dataset_type = 'BaseSegDataset'
data_root = 'data/pages'
metainfo = dict(
    classes=('3, 7 upright', '3, 7 upside down', '6, 9 upright', '6, 9 upside down'),
    palette=[(80, 220, 120), (255, 200, 40), (64, 160, 255), (255, 99, 71)],
)
dataset = dict(
    type=dataset_type,
    data_root=data_root,
    metainfo=metainfo,
    reduce_zero_label=True,
    img_suffix='.jpg',
    seg_map_suffix='.png',
)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
workers = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=16, **workers, dataset=dict(**dataset, pipeline=pipeline))
val_dataloader = dict(batch_size=16, **workers, dataset=dict(**dataset, pipeline=pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='GroupAccuracy',
    groups={name: (f'{name} upright', f'{name} upside down') for name in ('3, 7', '6, 9')},
)
test_evaluator = val_evaluator

# Sizes
model = dict(
    data_preprocessor=dict(size=(72, 72)),
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=24, depths=(2, 4, 1, 1), num_heads=(2, 4, 4, 4), mlp_ratio=2
        ),
        window_size=(6, 3, 3, 3),
        pretrain_img_size=72,
        out_indices=(1,),
        drop_path_rate=0.0,
        init_cfg=None,
    ),
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=48,
        in_index=0,
        channels=48,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=4,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    auxiliary_head=None,
)

# Schedule
max_iters = 1200
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=60, end=max_iters),
]
optim_wrapper = dict(optimizer=dict(lr=3e-3, weight_decay=0.05), clip_grad=dict(max_norm=1.0))
default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=max_iters, save_best=None, max_keep_ckpts=1)
)
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=16)
