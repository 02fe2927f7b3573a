"""Faster R-CNN, GC ViT-T, fine-tuned on a data set of your own in COCO's format with boxes only.

docs/custom_dataset.md says how.

Run:  python tools/train.py configs/custom_coco_boxonly.py            (one GPU)
      tools/dist_train.sh configs/custom_coco_boxonly.py 8            (several; the learning rate follows the number)

Copy this file beside the others in configs/ and change three lines. For a set with masks: custom_coco.py.
"""

_base_ = 'faster_rcnn_gcvit_t_boxonly.py'

# 1. The folder with annotations/train.json, annotations/val.json and the images in train/ and val/.
data_root = 'data/my_dataset'
# 2. The classes, spelled and in the order of the categories in the annotation files.
classes = ('cat', 'dog')
# 3. A detector to start from, for example one of this project trained on COCO; None starts from ImageNet weights.
load_from = None

metainfo = dict(classes=classes)
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f'{data_root}/annotations/val.json')
test_evaluator = val_evaluator

model = dict(roi_head=dict(bbox_head=dict(num_classes=len(classes))))

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
# The learning rate is for 16 images at a time: with one GPU, which takes 2, it is an eighth.
auto_scale_lr = dict(enable=True)
