"""UPerNet, fine-tuned on your own images and segmentation maps. docs/templates.md says how.

Run:  python tools/train.py configs/custom_seg.py            (one GPU)
      tools/dist_train.sh configs/custom_seg.py 8            (several; the learning rate follows the number)

Copy this file within configs/ and change the first lines.
"""

# The network: upernet_gcvit_t.py, _s.py or _b.py. For a CPU: demo/upernet_gcvit_digits.py, with
# pretrained = None.
_base_ = 'upernet_gcvit_t.py'

# The data folder; inside it, the folders of images and of maps. None: test on the validation
# images.
data_root = 'data/my_dataset'
train_images = 'images/train'
val_images = 'images/val'
test_images = None
train_labels = 'labels/train'
val_labels = 'labels/val'
test_labels = None
# Lists of names without suffixes, or '': all images. mmgcvit.PairedSegDataset reads lists of images
# and their maps.
dataset_type = 'BaseSegDataset'
train_list = ''
val_list = ''
test_list = ''
# The classes: the first is 0 in the maps, the second 1, and so on; 255 is ignored.
classes = ('background', 'object')
# Suffixes of images and maps.
img_suffix = '.jpg'
seg_map_suffix = '.png'
# Crop size in training. Images are resized to this short side, in training times a random 0.5 to 2.
image_size = 512
# Iterations of batch_size images, on each GPU.
max_iters = 4000
# Images in an iteration on each GPU, and processes that load them.
batch_size = 2
workers = 4
# The learning rate is for this batch size, and scaled to the effective one. None: it is not scaled.
lr = 6e-5
lr_batch_size = 16
# 'none': resizing and crops; 'light': also random sizes, flips and colours; 'strong': also
# rotations.
augment = 'light'
flip = True
# Sides of the windows. 16 is cheaper than the recipe's 24, and crops of 512 px are divisible by
# them.
window_size = 16
# Lovász loss (CVPR 2018), one minus a soft IoU. After a short training with cross entropy, small
# networks may predict only background.
lovasz = False
# Side in pixels of the tiles of large images, or None. An epoch has tiles_per_image random tiles of
# each image.
tiles = None
tiles_per_image = 1
# Images with rare classes are repeated (mmengine's ClassBalancedDataset): those of classes in under
# this part of the images, for example 0.1, or None.
oversample_thr = None
# Backbone weights: a file, a URL, timm://gcvit_tiny, or None. Those at huggingface.co/nvidia
# are the authors', under CC BY-NC-SA 4.0: not for commercial use.
pretrained = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
# A segmentor to start from, for example one trained on ADE20K, or None.
load_from = None
# What is trained of the backbone: 'all', 'lora' (low-rank matrices beside its linear layers, and its
# output norms) or nothing ('head').
fine_tune = 'all'

# Derived from the settings above.
__import__('mmgcvit').check_choices(fine_tune=fine_tune, augment=augment)
# Matplotlib's tab10, for up to ten classes. mmseg's are random, and the first two are both green.
class_colours = [[31, 119, 180], [255, 127, 14], [44, 160, 44], [214, 39, 40], [148, 103, 189]]
class_colours += [[140, 86, 75], [227, 119, 194], [127, 127, 127], [188, 189, 34], [23, 190, 207]]
metainfo = dict(classes=(classes,) if isinstance(classes, str) else classes)
num_classes = len(metainfo['classes'])
metainfo['palette'] = class_colours[:num_classes] if num_classes <= 10 else []
scale = (4 * image_size, image_size)
crop_size = (image_size, image_size)

resize = dict(_base_.resize, scale=scale)
load_annotations = dict(type='LoadAnnotations')
train_pipeline = [
    _base_.load_image,
    load_annotations,
    *([dict(type='mmgcvit.RandomMapTile', side=tiles)] if tiles else []),
    resize if augment == 'none' else dict(_base_.random_resize, scale=scale),
    dict(_base_.crop, crop_size=crop_size),
    *([_base_.flip] if flip and augment != 'none' else []),
    *([_base_.colours] if augment != 'none' else []),
    *(
        [dict(type='RandomRotate', prob=0.5, degree=20, seg_pad_val=255)]
        if augment == 'strong'
        else []
    ),
    _base_.pack,
]
test_pipeline = [_base_.load_image, resize, load_annotations, _base_.pack]
tta_scales = [(image_size * part, round(image_size * part / 4)) for part in (2, 3, 4, 5, 6, 7)]
tta_resizes = [dict(_base_.resize, scale=tta_scale) for tta_scale in tta_scales]
tta_flips = _base_.tta_flips if flip and augment != 'none' else _base_.tta_flips[:1]
tta_transforms = [tta_resizes, tta_flips, [load_annotations], [_base_.pack]]
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
train_dataset = dict(
    **dataset, data_prefix=train_prefix, ann_file=train_list, pipeline=train_pipeline
)
if oversample_thr:  # needs dataset_type = 'mmgcvit.PairedSegDataset'
    train_dataset = dict(
        type='ClassBalancedDataset', oversample_thr=oversample_thr, dataset=train_dataset
    )
if tiles:
    train_dataset = dict(type='RepeatDataset', times=tiles_per_image, dataset=train_dataset)
if oversample_thr or tiles:
    train_dataset['_delete_'] = True
train_dataloader = dict(**loading, batch_size=batch_size, dataset=train_dataset)
val_dataset = dict(**dataset, data_prefix=val_prefix, ann_file=val_list, pipeline=test_pipeline)
test_dataset = val_dataset
if test_images is not None:
    test_prefix = dict(img_path=test_images, seg_map_path=test_labels)
    test_dataset = dict(val_dataset, data_prefix=test_prefix, ann_file=test_list)
val_dataloader = dict(**loading, dataset=val_dataset)
test_dataloader = dict(**loading, dataset=test_dataset)

loss = dict(class_weight=None)
if lovasz:
    loss = dict(_delete_=True, type='mmgcvit.LovaszLoss', loss_type='multi_class', reduction='none')
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        window_size=window_size,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        frozen_stages=4 if fine_tune == 'head' else -1,
        **(dict(lora_rank=8) if fine_tune == 'lora' else {}),
    ),
    decode_head=dict(num_classes=num_classes, loss_decode=loss),
    auxiliary_head=dict(num_classes=num_classes, loss_decode=dict(loss, loss_weight=0.4)),
)

# Ten validations and checkpoints; the warm-up is a twentieth of the run.
interval = max(1, max_iters // 10)
train_cfg = dict(max_iters=max_iters, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval), logger=dict(interval=min(50, interval)))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=max(2, max_iters // 20)),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=0, end=max_iters),
]
optim_wrapper = dict(optimizer=dict(lr=lr))
auto_scale_lr = dict(enable=lr_batch_size is not None, base_batch_size=lr_batch_size)
randomness = dict(seed=None)
if tiles:
    val_cfg = dict(type='mmgcvit.TiledValLoop', side=tiles)
    test_cfg = dict(type='mmgcvit.TiledTestLoop', side=tiles)
else:
    default_hooks['val_loss'] = dict(type='mmgcvit.ValLossHook')
