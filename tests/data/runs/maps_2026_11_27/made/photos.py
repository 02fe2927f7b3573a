# Written by mmgcvit train --data. As written, it trains UPerNet, --size mini, at 128 px, 1200 iterations.
# Relative paths start at the folder where the command runs.
# Edit the lines from _base_ on and train it again: mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER
work_dir = 'work_dirs/photos'
started_with = {'data': '../../photos',
 'task': 'semantic',
 'size': 'mini',
 'no_flip': False,
 'image_size': 128,
 'batch_size': 8,
 'lr': 0.0015,
 'workers': 2,
 'augment': 'light',
 'fine_tune': 'all',
 'tiles': None,
 'image_side': 96,
 'pretrained': None,
 'majority': None,
 'weaknesses': ['there are only 4 training images; more would help']}

# The network: upernet_gcvit_t.py, _s.py or _b.py. For a CPU: demo/upernet_gcvit_digits.py, with pretrained = None.
_base_ = __import__('mmgcvit').get_config_path('demo/upernet_gcvit_digits.py')

# The data folder; inside it, the folders of images and of maps. None: test on the validation images.
data_root = ''
train_images = 'photos'
val_images = 'photos'
test_images = None
train_labels = 'photos'
val_labels = 'photos'
test_labels = None
# Lists of names without suffixes, or '': all images. mmgcvit.PairedSegDataset reads lists of images and their maps.
dataset_type = 'mmgcvit.PairedSegDataset'
train_list = 'work_dirs/photos/made/train.txt'
val_list = 'work_dirs/photos/made/val.txt'
test_list = ''
# The classes: the first is 0 in the maps, the second 1, and so on; 255 is ignored.
classes = ('class 0', 'class 1', 'class 2')
# Suffixes of images and maps.
img_suffix = '.jpg'
seg_map_suffix = '.png'
# Crop size in training. Images are resized to this short side, in training times a random 0.5 to 2.
image_size = 128
# Iterations of batch_size images, on each GPU.
max_iters = 1200
# Images in an iteration on each GPU, and processes that load them.
batch_size = 8
workers = 2
# The learning rate is for this batch size, and scaled to the effective one. None: it is not scaled.
lr = 0.0015
lr_batch_size = 8
# 'none': resizing and crops; 'light': also random sizes, flips and colours; 'strong': also rotations.
augment = 'light'
flip = True
# Sides of the windows. 16 is cheaper than the recipe's 24, and crops of 512 px are divisible by them.
window_size = (4, 4, 8, 4)
# Lovász loss (CVPR 2018), one minus a soft IoU. After a short training with cross entropy, small networks may predict
# only background.
lovasz = True
# Backbone weights: a file, a URL, timm://gcvit_tiny, or None. Those at huggingface.co/nvidia
# are the authors', under CC BY-NC-SA 4.0: not for commercial use.
pretrained = None
# A segmentor to start from, for example one trained on ADE20K, or None.
load_from = __import__('mmgcvit').get_config_path('demo/weights/upernet_gcvit_objects.safetensors')
# What is trained of the backbone: 'all', 'lora' (low-rank updates of its attention) or nothing ('head').
fine_tune = 'all'

# Derived from the settings above.
assert fine_tune in ('all', 'lora', 'head'), f"fine_tune = {fine_tune!r}: expected 'all', 'lora' or 'head'"
assert augment in ('none', 'light', 'strong'), f"augment = {augment!r}: expected 'none', 'light' or 'strong'"
metainfo = dict(classes=(classes,) if isinstance(classes, str) else classes, palette=[])
num_classes = len(metainfo['classes'])
scale = (4 * image_size, image_size)
crop_size = (image_size, image_size)

resize = dict(_base_.resize, scale=scale)
load_annotations = dict(type='LoadAnnotations')
train_pipeline = [
    _base_.load_image,
    load_annotations,
    resize if augment == 'none' else dict(_base_.random_resize, scale=scale),
    dict(_base_.crop, crop_size=crop_size),
    *([_base_.flip] if flip and augment != 'none' else []),
    *([_base_.colours] if augment != 'none' else []),
    *([dict(type='RandomRotate', prob=0.5, degree=20, seg_pad_val=255)] if augment == 'strong' else []),
    _base_.pack,
]
test_pipeline = [_base_.load_image, resize, load_annotations, _base_.pack]
tta_scales = [(image_size * part, round(image_size * part / 4)) for part in (2, 3, 4, 5, 6, 7)]
tta_resizes = [dict(_base_.resize, scale=tta_scale) for tta_scale in tta_scales]
tta_transforms = [tta_resizes, _base_.tta_flips, [load_annotations], [_base_.pack]]
tta_pipeline = [_base_.load_image, dict(type='TestTimeAug', transforms=tta_transforms)]

dataset = dict(
    type=dataset_type,
    data_root=data_root,
    metainfo=metainfo,
    reduce_zero_label=False,
    img_suffix=img_suffix,
    seg_map_suffix=seg_map_suffix,
)
train_prefix = dict(img_path=train_images, seg_map_path=train_labels)
val_prefix = dict(img_path=val_images, seg_map_path=val_labels)
loading = dict(num_workers=workers, persistent_workers=workers > 0)
train_dataloader = dict(
    **loading,
    batch_size=batch_size,
    dataset=dict(**dataset, data_prefix=train_prefix, ann_file=train_list, pipeline=train_pipeline),
)
val_dataset = dict(**dataset, data_prefix=val_prefix, ann_file=val_list, pipeline=test_pipeline)
test_dataset = val_dataset
if test_images is not None:
    test_prefix = dict(img_path=test_images, seg_map_path=test_labels)
    test_dataset = dict(val_dataset, data_prefix=test_prefix, ann_file=test_list)
val_dataloader = dict(**loading, dataset=val_dataset)
test_dataloader = dict(**loading, dataset=test_dataset)

loss = dict(class_weight=None)
if lovasz:
    loss = dict(_delete_=True, type='LovaszLoss', loss_type='multi_class', reduction='none')
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        window_size=window_size,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        **dict(all={}, lora=dict(lora_rank=8), head=dict(frozen_stages=4))[fine_tune],
    ),
    decode_head=dict(num_classes=num_classes, loss_decode=loss),
    auxiliary_head=dict(num_classes=num_classes, loss_decode=dict(loss, loss_weight=0.4)),
)

# Ten validations and checkpoints; the warm-up is a twentieth of the run.
interval = max(1, max_iters // 10)
train_cfg = dict(max_iters=max_iters, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval), logger=dict(interval=min(50, interval)))
default_hooks['val_loss'] = dict(type='mmgcvit.ValLossHook')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=max(2, max_iters // 20)),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=0, end=max_iters),
]
optim_wrapper = dict(optimizer=dict(lr=lr))
auto_scale_lr = dict(enable=lr_batch_size is not None, base_batch_size=lr_batch_size or batch_size)
randomness = dict(seed=None)
