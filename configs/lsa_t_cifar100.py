"""LSA-Tiny, CIFAR-100, 300 epochs, total batch 736. Paper: top-1 81.80."""

_base_ = 'lsa_t_cifar10.py'

# In data/cifar100/cifar-100-python, normalised with its own mean and standard deviation.
dataset_type = 'CIFAR100'
data_root = 'data/cifar100'
mean = [255 * x for x in (0.5071, 0.4867, 0.4408)]
std = [255 * x for x in (0.2675, 0.2565, 0.2761)]
data_preprocessor = dict(num_classes=100, mean=mean, std=std)

augment = dict(
    _base_.augment, hparams=dict(pad_val=[round(x) for x in mean], interpolation='bicubic')
)
erase = dict(_base_.erase, fill_color=mean, fill_std=std)
train_pipeline = [_base_.pad_and_crop, _base_.flip, augment, erase, _base_.pack]
train_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader
model = dict(head=dict(num_classes=100))
