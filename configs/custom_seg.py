"""UPerNet, GC ViT-T, fine-tuned on your own images and segmentation maps. docs/custom_dataset.md says how.

Run:  python tools/train.py configs/custom_seg.py            (one GPU)
      tools/dist_train.sh configs/custom_seg.py 8            (several; the learning rate follows the number)

Copy this file within configs/ and change the first lines.
"""

_base_ = 'upernet_gcvit_t.py'

# The data folder; inside it, the folders of images and of maps. Or lists of names without suffixes.
data_root = 'data/my_dataset'
train_images = 'images/train'
val_images = 'images/val'
train_labels = 'labels/train'
val_labels = 'labels/val'
train_list = ''
val_list = ''
# The classes: the first is 0 in the maps, the second 1, and so on; 255 is ignored.
classes = ('background', 'object')
# Suffixes of images and maps.
img_suffix = '.jpg'
seg_map_suffix = '.png'
# Crop size in training. Images are resized to this short side, in training times a random 0.5 to 2.
image_size = 512
# Iterations of 2 images, on each GPU.
max_iters = 4000
# Backbone weights: a file, a URL, timm://gcvit_tiny, or None. These are the authors', under CC
# BY-NC-SA 4.0: not for commercial use.
pretrained = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
# A segmentor to start from, for example one trained on ADE20K, or None.
load_from = None
# What is trained of the backbone: 'all', 'lora' (low-rank updates of its attention) or nothing ('head').
fine_tune = 'all'

# Derived from the settings above.
assert fine_tune in ('all', 'lora', 'head'), f"fine_tune = {fine_tune!r}: expected 'all', 'lora' or 'head'"
metainfo = dict(classes=(classes,) if isinstance(classes, str) else classes, palette=[])
num_classes = len(metainfo['classes'])
scale = (4 * image_size, image_size)
crop_size = (image_size, image_size)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tta_scales = [(image_size * part, image_size * part // 4) for part in (2, 3, 4, 5, 6, 7)]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=tta_scale, keep_ratio=True) for tta_scale in tta_scales],
            _base_.tta_flips,
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]

dataset = dict(
    type='BaseSegDataset',
    data_root=data_root,
    metainfo=metainfo,
    reduce_zero_label=False,
    img_suffix=img_suffix,
    seg_map_suffix=seg_map_suffix,
)
train_dataloader = dict(
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path=train_images, seg_map_path=train_labels),
        ann_file=train_list,
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path=val_images, seg_map_path=val_labels),
        ann_file=val_list,
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        # Cheaper than the recipe's 24, and crops of 512 px are divisible by them.
        window_size=16,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained) if pretrained else None,
        **dict(all={}, lora=dict(lora_rank=8), head=dict(frozen_stages=4))[fine_tune],
    ),
    decode_head=dict(num_classes=num_classes, loss_decode=dict(class_weight=None)),
    auxiliary_head=dict(num_classes=num_classes, loss_decode=dict(class_weight=None)),
)

# Ten validations and checkpoints; the warm-up is a twentieth of the run.
interval = max(1, max_iters // 10)
train_cfg = dict(max_iters=max_iters, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval), logger=dict(interval=min(50, interval)))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=max(2, max_iters // 20)),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=0, end=max_iters),
]
# The learning rate is for a batch size of 16; one GPU with 2 images uses an eighth of it.
auto_scale_lr = dict(enable=True)
