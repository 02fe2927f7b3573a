"""Config that trains the toy model on twelve images with data workers: an epoch has 12 images."""

_base_ = '../../toy_config.py'
custom_imports = dict(imports=['mmgcvit', 'tests.nodes.events'], allow_failed_imports=False)
log_level = 'INFO'
model = dict(type='ClassifierOfLargeBatches')
loader = dict(dataset=dict(type='LargeImages'), num_workers=1, batch_size=2)
train_dataloader = val_dataloader = test_dataloader = loader
custom_hooks = [dict(type='EMAHook'), dict(type='EventHook')]
randomness = dict(seed=3)
