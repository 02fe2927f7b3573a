"""LSA-Tiny, CIFAR-100, 300 epochs, total batch 736: top-1 81.80."""

_base_ = 'lsa_t_cifar10.py'

# In data/cifar100/cifar-100-python, normalised with its own mean and standard deviation.
dataset_type = 'CIFAR100'
data_root = 'data/cifar100'
mean = [255 * x for x in (0.5071, 0.4867, 0.4408)]
std = [255 * x for x in (0.2675, 0.2565, 0.2761)]
data_preprocessor = dict(num_classes=100, mean=mean, std=std)

train_pipeline = _base_.train_pipeline
train_pipeline[2].hparams.pad_val = [round(x) for x in mean]
train_pipeline[3].update(fill_color=mean, fill_std=std)
train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader
model = dict(head=dict(num_classes=100))
