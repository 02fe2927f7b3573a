"""CIFAR-100 at data/cifar100/ (its folder cifar-100-python): as cifar10.py, with its own mean and deviation."""

_base_ = 'cifar10.py'

dataset_type = 'CIFAR100'
data_root = 'data/cifar100'
mean = [255 * x for x in (0.5071, 0.4867, 0.4408)]
std = [255 * x for x in (0.2675, 0.2565, 0.2761)]
data_preprocessor = dict(num_classes=100, mean=mean, std=std)

train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[round(x) for x in mean], interpolation='bicubic'),
    ),
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=mean,
        fill_std=std,
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader
