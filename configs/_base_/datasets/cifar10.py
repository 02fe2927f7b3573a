"""CIFAR-10 at data/cifar10/ (its folder cifar-10-batches-py), augmented as DeiT augments it: crops
padded by 4 px.

Normalised with the mean and standard deviation of CIFAR-10's own pixels, as in the authors'
released code.
"""

_base_ = 'imagenet_1k.py'

dataset_type = 'CIFAR10'
data_root = 'data/cifar10'
mean = [255 * x for x in (0.4914, 0.4822, 0.4465)]
std = [255 * x for x in (0.2471, 0.2435, 0.2616)]
data_preprocessor = dict(num_classes=10, mean=mean, std=std, to_rgb=False)  # they are stored as RGB

pad_and_crop = dict(type='RandomCrop', crop_size=32, padding=4)
augment = dict(
    _base_.augment, hparams=dict(pad_val=[round(x) for x in mean], interpolation='bicubic')
)
erase = dict(_base_.erase, fill_color=mean, fill_std=std)
train_pipeline = [pad_and_crop, _base_.flip, augment, erase, _base_.pack]
test_pipeline = [_base_.pack]

train_dataloader = dict(
    batch_size=92,
    num_workers=4,
    dataset=dict(type=dataset_type, data_root=data_root, download=False, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=4,
    dataset=dict(
        type=dataset_type, data_root=data_root, split='test', download=False, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
