# Written by mmgcvit train --data. As written, it trains Mask R-CNN, --size mini, at 192 px, 400 epochs.
# Relative paths start at the folder where the command runs.
# Edit the lines from _base_ on and train it again: mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER
work_dir = 'work_dirs/photos'
started_with = {'data': '../../photos',
 'task': 'segment',
 'size': 'mini',
 'no_flip': False,
 'image_size': 192,
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

# The network: mask_rcnn_gcvit_t.py, _s.py or _b.py. For a CPU: demo/mask_rcnn_gcvit_digits.py, with pretrained = None.
_base_ = __import__('mmgcvit').get_config_path('demo/mask_rcnn_gcvit_digits.py')

# The data folder; inside it, the annotation files and the image folders. None: test on the validation images.
data_root = ''
train_annotations = 'work_dirs/photos/made/train.json'
val_annotations = 'work_dirs/photos/made/val.json'
test_annotations = None
train_images = 'photos/train'
val_images = 'photos/val'
test_images = None
# The classes, with the names and order of the categories in the annotation files.
classes = ('disc', 'square')
# Whether masks are trained: Mask R-CNN. Otherwise boxes only: Faster R-CNN.
masks = True
# Short side of the images in pixels (random smaller sizes in training); the long side is at most 5/3 of it.
image_size = 192
# Epochs. Small datasets need more: 50 for a hundred images.
max_epochs = 400
# Images in an iteration on each GPU, and processes that load them.
batch_size = 8
workers = 2
# The learning rate is for this batch size, and scaled to the effective one. None: it is not scaled.
lr = 0.0015
lr_batch_size = 8
# Whether it falls along a cosine; otherwise in two steps.
cosine = False
# 'none': resizing only; 'light': also random sizes and flips; 'strong': also colours and larger changes of size.
augment = 'light'
flip = True
# Whether 'light' also crops half of the images, as DETR's augmentation does.
random_crops = True
# Copy-paste: paste objects of other images, cut out by their masks, into training images.
copy_paste = False
# Mosaic: combine four images into one training image.
mosaic = False
# Side in pixels of the tiles of large images, or None. An epoch has tiles_per_image random tiles of each image.
tiles = None
tiles_per_image = 1
# Backbone weights: a file, a URL, timm://gcvit_tiny, or None. Those at huggingface.co/nvidia
# are the authors', under CC BY-NC-SA 4.0: not for commercial use.
pretrained = None
# A detector to start from, for example one trained on COCO, or None.
load_from = __import__('mmgcvit').get_config_path('demo/weights/mask_rcnn_gcvit_objects.safetensors')
# What is trained of the backbone: 'all', 'lora' (low-rank updates of its attention) or nothing ('head').
fine_tune = 'all'

# Derived from the settings above.
assert fine_tune in ('all', 'lora', 'head'), f"fine_tune = {fine_tune!r}: expected 'all', 'lora' or 'head'"
assert augment in ('none', 'light', 'strong'), f"augment = {augment!r}: expected 'none', 'light' or 'strong'"
assert not copy_paste or (masks and not mosaic), 'copy_paste = True needs masks = True and mosaic = False'
metainfo = dict(classes=(classes,) if isinstance(classes, str) else classes, palette=None)
num_classes = len(metainfo['classes'])
long_side = round(image_size * 5 / 3)

resize = dict(_base_.resize, scales=[(long_side, round(image_size * part / 25)) for part in range(15, 26)])
resize_before_crop = dict(_base_.resize, scales=[(long_side, round(image_size * part / 8)) for part in (4, 5, 6)])
crop = dict(_base_.crop, crop_size=(round(image_size * 12 / 25), round(image_size * 3 / 4)))
test_resize = dict(_base_.test_resize, scale=(long_side, image_size))
resizes = dict(
    none=[test_resize],
    light=[dict(type='RandomChoice', transforms=[[resize], [resize_before_crop, crop, resize]])]
    if random_crops
    else [dict(_base_.resize, scales=[(long_side, round(image_size * part / 8)) for part in (5, 6, 7, 8)])],
    strong=[
        dict(type='RandomResize', scale=(long_side, image_size), ratio_range=(0.5, 1.5), keep_ratio=True),
        # No larger than without augmentation, so that no more memory is needed.
        dict(type='RandomCrop', crop_size=(long_side, long_side), allow_negative_crop=True),
        dict(type='PhotoMetricDistortion'),
    ],
)
load = [*_base_.load_image, _base_.load_masks if masks else _base_.load_boxes]
test_pipeline = [*_base_.load_image, test_resize, load[-1], _base_.test_pack]
if tiles:
    load.insert(-1, dict(type='mmgcvit.RandomTile', side=tiles))
flips = [_base_.flip] if flip and augment != 'none' else []
train_pipeline = [*load, *flips, *resizes[augment], *_base_.filter_and_pack]
tta_model = tta_pipeline = None

dataset = dict(data_root=data_root, metainfo=metainfo)
# Images without objects are background.
train_dataset = dict(
    **dataset,
    ann_file=train_annotations,
    data_prefix=dict(img=train_images),
    filter_cfg=None,
    pipeline=train_pipeline,
)
# For each image and those whose objects are pasted into it.
pasted = [
    *load,
    *flips,
    dict(type='RandomResize', scale=(image_size, image_size), ratio_range=(0.5, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(image_size, image_size), allow_negative_crop=True),
    dict(type='Pad', size=(image_size, image_size)),
]
mixed = [
    dict(type='Mosaic', img_scale=(image_size, image_size)),
    dict(type='RandomResize', scale=(2 * image_size, 2 * image_size), ratio_range=(0.5, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(image_size, image_size), allow_negative_crop=True),
    *flips,
]
if copy_paste or mosaic:
    train_dataset.update(pipeline=pasted if copy_paste else load)
if copy_paste or mosaic or tiles:
    train_dataset = dict(_delete_=True, dataset=dict(_base_.train_dataloader.dataset, **train_dataset))
if copy_paste or mosaic:
    mixing = [dict(type='CopyPaste')] if copy_paste else mixed
    train_dataset.update(type='MultiImageMixDataset', pipeline=[*mixing, *_base_.filter_and_pack])
elif tiles:
    train_dataset.update(type='RepeatDataset', times=tiles_per_image)
loading = dict(num_workers=workers, persistent_workers=workers > 0)
train_dataloader = dict(**loading, batch_size=batch_size, dataset=train_dataset)
# Images of a batch are padded to the largest, which changes scores.
test_loading = dict(**loading, batch_size=1)
val_dataset = dict(**dataset, ann_file=val_annotations, data_prefix=dict(img=val_images), pipeline=test_pipeline)
val_dataloader = dict(**test_loading, dataset=val_dataset)
test_dataset = val_dataset
if test_annotations:
    test_dataset = dict(val_dataset, ann_file=test_annotations, data_prefix=dict(img=test_images))
test_dataloader = dict(**test_loading, dataset=test_dataset)
metric = ['bbox', 'segm'] if masks else 'bbox'
root = f'{data_root}/' if data_root else ''
val_evaluator = dict(metric=metric, ann_file=root + val_annotations)
test_evaluator = dict(metric=metric, ann_file=root + (test_annotations or val_annotations))

mask_head = dict(mask_head=dict(num_classes=num_classes)) if masks else dict(mask_roi_extractor=None, mask_head=None)
model = dict(
    type='MaskRCNN' if masks else 'FasterRCNN',
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        **dict(all={}, lora=dict(lora_rank=8), head=dict(frozen_stages=4))[fine_tune],
    ),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), **mask_head),
)

# About a dozen validations and checkpoints; the learning rate drops after 2/3 and 11/12 of the run.
interval = max(1, max_epochs // 12)
train_cfg = dict(max_epochs=max_epochs, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval))
by_iter = dict(by_epoch=True, convert_to_iter_based=True)
milestones = sorted({max(1, max_epochs * 2 // 3), max(1, max_epochs * 11 // 12)})
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01 if cosine else 0.001, end=min(2, max_epochs), **by_iter),
    dict(type='CosineAnnealingLR', end=max_epochs, **by_iter)
    if cosine
    else dict(type='MultiStepLR', gamma=0.1, by_epoch=True, end=max_epochs, milestones=milestones),
]
optim_wrapper = dict(optimizer=dict(lr=lr))
auto_scale_lr = dict(enable=lr_batch_size is not None, base_batch_size=lr_batch_size or batch_size)
randomness = dict(seed=None)
if tiles:
    val_cfg = dict(type='mmgcvit.TiledValLoop', side=tiles)
    test_cfg = dict(type='mmgcvit.TiledTestLoop', side=tiles)
    # mmdet computes COCO's mAP from at most 100 detections by class and image, and mAP_50 from at most 1,000.
    default_hooks['checkpoint'].update(save_best='coco/bbox_mAP_50')
else:
    default_hooks['val_loss'] = dict(type='mmgcvit.ValLossHook')
