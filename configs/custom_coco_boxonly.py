"""Faster R-CNN, GC ViT-T, fine-tuned on a data set of your own in COCO's format with boxes only.

docs/custom_dataset.md says how.

Run:  python tools/train.py configs/custom_coco_boxonly.py            (one GPU)
      tools/dist_train.sh configs/custom_coco_boxonly.py 8            (several; the learning rate follows the number)

Copy this file beside the others in configs/ and change the first lines. For a set with masks: custom_coco.py.
"""

_base_ = 'faster_rcnn_gcvit_t_boxonly.py'

# The folder of the data; from it on, the annotation files, and the folders from which these name their images.
data_root = 'data/my_dataset'
train_annotations = 'annotations/train.json'
val_annotations = 'annotations/val.json'
train_images = 'train/'
val_images = 'val/'
# The classes, spelled and in the order of the categories in the annotation files.
classes = ('cat', 'dog')
# Images get this short side in pixels, in training less by chance, and a long side of at most 5/3 of it.
image_size = 800
# Passes over the training images. Small sets want more: 50 for a hundred images.
max_epochs = 12
# Whether a training image is a part of four images put together.
mosaic = False
# The backbone's weights to start from: a file, an address, timm://gcvit_tiny, or None. These are the authors', under CC
# BY-NC-SA 4.0: not for commercial use.
pretrained = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
# A whole detector to start from, for example one trained on COCO; None starts from the backbone's weights.
load_from = None
# What of the backbone is trained: 'all'; 'lora', small additions to its attention; or nothing, 'head'.
fine_tune = 'all'

# What follows from these lines.
assert fine_tune in ('all', 'lora', 'head'), f"fine_tune = {fine_tune!r}: expected 'all', 'lora' or 'head'"
metainfo = dict(classes=(classes,) if isinstance(classes, str) else classes)
num_classes = len(metainfo['classes'])
long_side = image_size * 5 // 3

loading = [
    dict(type='LoadImageFromFile'),
    dict(type='mmgcvit.ApplyExifAsAnnotated'),
    dict(type='LoadAnnotations', with_bbox=True),
]
short_sides = [(long_side, image_size * part // 25) for part in range(15, 26)]
train_pipeline = [
    *loading,
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='RandomChoiceResize', scales=short_sides, keep_ratio=True)],
            [
                dict(
                    type='RandomChoiceResize',
                    scales=[(long_side, image_size * part // 8) for part in (4, 5, 6)],
                    keep_ratio=True,
                ),
                dict(
                    type='RandomCrop',
                    crop_type='absolute_range',
                    crop_size=(image_size * 12 // 25, image_size * 3 // 4),
                    allow_negative_crop=True,
                ),
                dict(type='RandomChoiceResize', scales=short_sides, keep_ratio=True),
            ],
        ],
    ),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(0, 0), keep_empty=False),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmgcvit.ApplyExifAsAnnotated'),
    dict(type='Resize', scale=(long_side, image_size), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmgcvit.ApplyExifAsAnnotated'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(long_side * wide // 5, image_size * part // 5), keep_ratio=True)
                for wide, part in ((5, 4), (5, 5), (6, 6))
            ],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [dict(type='LoadAnnotations', with_bbox=True)],
            [
                dict(
                    type='PackDetInputs',
                    meta_keys=(
                        'img_id',
                        'img_path',
                        'ori_shape',
                        'img_shape',
                        'scale_factor',
                        'flip',
                        'flip_direction',
                    ),
                )
            ],
        ],
    ),
]

train_dataset = dict(
    type='CocoDataset',
    data_root=data_root,
    metainfo=metainfo,
    ann_file=train_annotations,
    data_prefix=dict(img=train_images),
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline=train_pipeline,
)
if mosaic:
    train_dataset.update(pipeline=loading)
    train_dataset = dict(
        type='MultiImageMixDataset',
        dataset=train_dataset,
        pipeline=[
            dict(type='Mosaic', img_scale=(image_size, image_size)),
            dict(type='RandomResize', scale=(2 * image_size, 2 * image_size), ratio_range=(0.5, 1.25), keep_ratio=True),
            dict(type='RandomCrop', crop_size=(image_size, image_size), allow_negative_crop=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='FilterAnnotations', min_gt_bbox_wh=(0, 0), keep_empty=False),
            dict(type='PackDetInputs'),
        ],
    )
train_dataloader = dict(dataset=dict(_delete_=True, **train_dataset))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file=val_annotations,
        data_prefix=dict(img=val_images),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(metric='bbox', ann_file=f'{data_root}/{val_annotations}')
test_evaluator = val_evaluator

model = dict(
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        **dict(all={}, lora=dict(lora_rank=8), head=dict(frozen_stages=4))[fine_tune],
    ),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_roi_extractor=None, mask_head=None),
)

# About a dozen validations and checkpoints, however long the run; the learning rate falls after 2/3 and 11/12 of it.
interval = max(1, max_epochs // 12)
train_cfg = dict(max_epochs=max_epochs, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        by_epoch=True,
        begin=0,
        end=min(2, max_epochs),
        convert_to_iter_based=True,
    ),
    dict(
        type='MultiStepLR',
        begin=0,
        end=max_epochs,
        by_epoch=True,
        milestones=sorted({max(1, max_epochs * 2 // 3), max(1, max_epochs * 11 // 12)}),
        gamma=0.1,
    ),
]
# The learning rate is for 16 images at a time: with one GPU, which takes 2, it is an eighth.
auto_scale_lr = dict(enable=True)
