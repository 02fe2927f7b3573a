"""Mask R-CNN or Faster R-CNN, fine-tuned on your own data in COCO format. docs/templates.md
says how.

Run:  python tools/train.py configs/custom_coco.py            (one GPU)
      tools/dist_train.sh configs/custom_coco.py 8            (several; the learning rate follows the number)

Copy this file within configs/ and change the first lines.
"""

# The network: mask_rcnn_gcvit_t.py, _s.py or _b.py. For a CPU: demo/mask_rcnn_gcvit_digits.py, with
# pretrained = None.
_base_ = 'mask_rcnn_gcvit_t.py'

# The data folder; inside it, the annotation files and the image folders. None: test on the
# validation images.
data_root = 'data/my_dataset'
train_annotations = 'annotations/train.json'
val_annotations = 'annotations/val.json'
test_annotations = None
train_images = 'train/'
val_images = 'val/'
test_images = None
# The classes, with the names and order of the categories in the annotation files.
classes = ('cat', 'dog')
# Whether masks are trained: Mask R-CNN. Otherwise boxes only: Faster R-CNN.
masks = True
# Short side of the images in pixels (random smaller sizes in training); the long side is at most
# 5/3 of it.
image_size = 800
# Epochs. Small datasets need more: 50 for a hundred images.
max_epochs = 12
# Images in an iteration on each GPU, and processes that load them.
batch_size = 2
workers = 4
# The learning rate is for this batch size, and scaled to the effective one. None: it is not scaled.
lr = 1e-4
lr_batch_size = 16
# Whether it falls along a cosine; otherwise in two steps.
cosine = False
# 'none': resizing only; 'light': also random sizes and flips; 'strong': also colours and larger
# changes of size.
augment = 'light'
flip = True
# Whether 'light' also crops half of the images, as DETR's augmentation does.
random_crops = True
# Copy-paste: paste objects of other images, cut out by their masks, into training images.
copy_paste = False
# Mosaic: combine four images into one training image.
mosaic = False
# Side in pixels of the tiles of large images, or None. An epoch has tiles_per_image random tiles of
# each image.
tiles = None
tiles_per_image = 1
# The most objects that are found in an image, or in a tile. Over 100 need more memory.
max_objects = 100
# Images with rare classes are repeated (mmengine's ClassBalancedDataset): those of classes in under
# this part of the images, for example 0.1, or None.
oversample_thr = None
# Backbone weights: a file, a URL, timm://gcvit_tiny, or None. Those at huggingface.co/nvidia
# are the authors', under CC BY-NC-SA 4.0: not for commercial use.
pretrained = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
# A detector to start from, for example one trained on COCO, or None.
load_from = None
# What is trained of the backbone: 'all', 'lora' (low-rank matrices beside its linear layers, and its
# output norms) or nothing ('head').
fine_tune = 'all'

# Derived from the settings above.
__import__('mmgcvit').check_choices(fine_tune=fine_tune, augment=augment)
assert not copy_paste or (masks and not mosaic), (
    'copy_paste = True needs masks = True and mosaic = False'
)
assert tiles or tiles_per_image == 1, 'tiles_per_image has no effect without tiles'
metainfo = dict(classes=(classes,) if isinstance(classes, str) else classes, palette=None)
num_classes = len(metainfo['classes'])
long_side = round(image_size * 5 / 3)

resize = dict(
    _base_.resize, scales=[(long_side, round(image_size * part / 25)) for part in range(15, 26)]
)
resize_before_crop = dict(
    _base_.resize, scales=[(long_side, round(image_size * part / 8)) for part in (4, 5, 6)]
)
crop = dict(_base_.crop, crop_size=(round(image_size * 12 / 25), round(image_size * 3 / 4)))
test_resize = dict(_base_.test_resize, scale=(long_side, image_size))
resizes = dict(
    none=[test_resize],
    light=[dict(type='RandomChoice', transforms=[[resize], [resize_before_crop, crop, resize]])]
    if random_crops
    else [
        dict(
            _base_.resize,
            scales=[(long_side, round(image_size * part / 8)) for part in (5, 6, 7, 8)],
        )
    ],
    strong=[
        dict(
            type='RandomResize',
            scale=(long_side, image_size),
            ratio_range=(0.5, 1.5),
            keep_ratio=True,
        ),
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
    dict(
        type='RandomResize', scale=(image_size, image_size), ratio_range=(0.5, 1.5), keep_ratio=True
    ),
    dict(type='RandomCrop', crop_size=(image_size, image_size), allow_negative_crop=True),
    dict(type='Pad', size=(image_size, image_size)),
]
mixed = [
    dict(type='mmgcvit.Mosaic', img_scale=(image_size, image_size)),
    dict(
        type='RandomResize',
        scale=(2 * image_size, 2 * image_size),
        ratio_range=(0.5, 1.25),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=(image_size, image_size), allow_negative_crop=True),
    *flips,
]
if copy_paste or mosaic:
    train_dataset.update(pipeline=pasted if copy_paste else load)
if oversample_thr:
    train_dataset = dict(
        type='ClassBalancedDataset',
        oversample_thr=oversample_thr,
        dataset=dict(_base_.train_dataloader.dataset, **train_dataset),
    )
elif copy_paste or mosaic or tiles:
    train_dataset = dict(_base_.train_dataloader.dataset, **train_dataset)
if tiles:
    train_dataset = dict(type='RepeatDataset', times=tiles_per_image, dataset=train_dataset)
if copy_paste or mosaic:
    mixing = [dict(type='CopyPaste')] if copy_paste else mixed
    train_dataset = dict(
        type='MultiImageMixDataset',
        dataset=train_dataset,
        pipeline=[*mixing, *_base_.filter_and_pack],
    )
if copy_paste or mosaic or tiles or oversample_thr:
    train_dataset['_delete_'] = True
loading = dict(num_workers=workers, persistent_workers=workers > 0)
train_dataloader = dict(**loading, batch_size=batch_size, dataset=train_dataset)
# Images of a batch are padded to the largest, which changes scores.
test_loading = dict(**loading, batch_size=1)
val_dataset = dict(
    **dataset, ann_file=val_annotations, data_prefix=dict(img=val_images), pipeline=test_pipeline
)
val_dataloader = dict(**test_loading, dataset=val_dataset)
test_dataset = val_dataset
if test_annotations:
    test_dataset = dict(val_dataset, ann_file=test_annotations, data_prefix=dict(img=test_images))
test_dataloader = dict(**test_loading, dataset=test_dataset)
metric = ['bbox', 'segm'] if masks else 'bbox'
root = f'{data_root}/' if data_root else ''
# All detections count; in mmdet's metric, mAP counts 100 of a class in an image.
metric = dict(type='mmgcvit.CocoMetric', metric=metric)
val_evaluator = dict(**metric, ann_file=root + val_annotations)
test_evaluator = dict(**metric, ann_file=root + (test_annotations or val_annotations))

mask_head = (
    dict(mask_head=dict(num_classes=num_classes))
    if masks
    else dict(mask_roi_extractor=None, mask_head=None)
)
model = dict(
    type='MaskRCNN' if masks else 'FasterRCNN',
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        frozen_stages=4 if fine_tune == 'head' else -1,
        **(dict(lora_rank=8) if fine_tune == 'lora' else {}),
    ),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), **mask_head),
)
if max_objects > 100:
    proposals = dict(nms_pre=10 * max_objects, max_per_img=5 * max_objects)
    model.update(
        train_cfg=dict(rpn_proposal=proposals),
        test_cfg=dict(rpn=proposals, rcnn=dict(max_per_img=max_objects)),
    )

# About a dozen validations and checkpoints; the learning rate drops after 2/3 and 11/12 of the run.
interval = max(1, max_epochs // 12)
train_cfg = dict(max_epochs=max_epochs, val_interval=interval)
best = 'coco/segm_mAP' if masks else 'coco/bbox_mAP'
default_hooks = dict(checkpoint=dict(interval=interval, save_best=best))
by_iter = dict(by_epoch=True, convert_to_iter_based=True)
milestones = sorted({max(1, max_epochs * 2 // 3), max(1, max_epochs * 11 // 12)})
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.01 if cosine else 0.001, end=min(2, max_epochs), **by_iter
    ),
    dict(type='CosineAnnealingLR', end=max_epochs, **by_iter)
    if cosine
    else dict(type='MultiStepLR', gamma=0.1, by_epoch=True, end=max_epochs, milestones=milestones),
]
optim_wrapper = dict(optimizer=dict(lr=lr))
auto_scale_lr = dict(enable=lr_batch_size is not None, base_batch_size=lr_batch_size)
randomness = dict(seed=None)
if tiles:
    val_cfg = dict(type='mmgcvit.TiledValLoop', side=tiles)
    test_cfg = dict(type='mmgcvit.TiledTestLoop', side=tiles)
else:
    default_hooks['val_loss'] = dict(type='mmgcvit.ValLossHook')
