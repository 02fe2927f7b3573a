"""Config that trains the toy model: two images, one iteration per epoch."""

custom_imports = dict(imports=['mmgcvit', 'tests.toy'], allow_failed_imports=False)
default_scope = 'mmengine'
log_level = 'WARNING'
env_cfg = dict(cudnn_benchmark=False)
arch = dict(embed_dims=4, depths=(1,) * 4, num_heads=(1,) * 4, mlp_ratio=1, layer_scale=1.0)
backbone = dict(type='mmgcvit.GCViT', arch=arch, window_size=(2, 2, 2, 1), out_indices=(3,))
model = dict(type='ToyClassifier', backbone=backbone)
loader = dict(
    batch_size=2,
    num_workers=0,
    dataset=dict(type='ToyImages'),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
train_dataloader = val_dataloader = test_dataloader = loader
val_evaluator = test_evaluator = dict(type='ChangingScore')
train_cfg = dict(type='mmgcvit.EpochBasedTrainLoop', max_epochs=3)
val_cfg = test_cfg = dict()
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
param_scheduler = [dict(type='LinearLR', start_factor=0.5, by_epoch=False, end=10)]
custom_hooks = [dict(type='EMAHook')]
default_hooks = dict(
    checkpoint=dict(
        type='mmgcvit.AtomicCheckpointHook',
        interval=1,
        max_keep_ckpts=1,
        save_best='score',
        rule='greater',
    ),
    exact_resume=dict(type='mmgcvit.ExactResumeHook'),
)
