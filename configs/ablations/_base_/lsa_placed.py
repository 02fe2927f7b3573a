"""LSA on small digits at 16 places, a pixel apart, for mmgcvit ablate: half a minute on a CPU core.

Differs from lsa_digits.py in data, depth and schedule.
"""

_base_ = 'lsa_digits.py'

custom_imports = dict(imports=['mmgcvit', 'mmgcvit.datasets.placed'])

# Data: made in memory, as RGB. The background is near zero, or nothing is learned off the grid in so few steps.
dataset = dict(type='mmgcvit.PlacedDigits', step=1, pipeline=[dict(type='PackInputs')], _delete_=True)
data_preprocessor = dict(to_rgb=False, mean=[30] * 3, std=[60] * 3)
train_dataloader = dict(dataset=dict(train=True, num_images=9600, **dataset))
val_dataloader = dict(dataset=dict(train=False, num_images=1436, test_mode=True, **dataset))
test_dataloader = val_dataloader
default_hooks = dict(visualization=dict(images=0))

# Sizes
model = dict(
    backbone=dict(arch=dict(embed_dims=(32, 64), depths=(2, 2), num_heads=(1, 2)), out_indices=(1,)),
    head=dict(in_channels=64),
)

# Schedule: each image once.
lr = 1e-3
max_epochs = 1
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, end=300),
]
optim_wrapper = dict(optimizer=dict(lr=lr))
