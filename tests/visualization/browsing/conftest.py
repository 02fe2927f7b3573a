"""Configs of the three tasks whose pipelines and preprocessors do what the papers' do, on the tests' digits."""

import pytest

from mmgcvit.hosts.configs import enter_scope, read_config

MIXED = """
_base_ = '{configs}/mask_rcnn_gcvit_digits.py'
data_root = '{digits}/coco/'
steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
train_dataloader = dict(batch_size=2, dataset=dict(
    _delete_=True,
    type='MultiImageMixDataset',
    dataset=dict(type='RepeatDataset', times=2, dataset=dict(
        type='CocoDataset', data_root=data_root, ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'), metainfo=dict(classes=tuple('0123456789')), pipeline=steps,
    )),
    pipeline=[
        dict(type='Mosaic', img_scale=(128, 128)),
        dict(type='RandomAffine', border=(-64, -64), scaling_ratio_range=(0.5, 1.5)),
        dict(type='MixUp', img_scale=(128, 128), ratio_range=(0.8, 1.6)),
        dict(type='PackDetInputs'),
    ],
))
"""
JITTER = """
_base_ = '{configs}/mask_rcnn_gcvit_digits.py'
data_root = '{digits}/coco/'
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomChoiceResize', scales=[(160, 999), (200, 999), (240, 999)], keep_ratio=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root, pipeline=pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
"""
CROPS = """
_base_ = '{configs}/upernet_gcvit_digits.py'
data_root = '{digits}/ADEChallengeData2016'
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomResize', scale=(256, 128), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(128, 128), cat_max_ratio=1.0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
"""
MIXUP = """
_base_ = '{configs}/gcvit_digits_cls.py'
data_root = '{digits}/imagenet'
train_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
model = dict(train_cfg=dict(_delete_=True, augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]))
"""
CONFIGS = {'mosaic': MIXED, 'detection': JITTER, 'segmentation': CROPS, 'classification': MIXUP}


@pytest.fixture(scope='session')
def configs(digits, root, tmp_path_factory):
    """Files by their names."""
    folder = tmp_path_factory.mktemp('configs')
    files = {}
    for name, text in CONFIGS.items():
        files[name] = folder / f'{name}.py'
        files[name].write_text(text.format(configs=root / 'configs' / 'demo', digits=digits))
    return files


@pytest.fixture
def cfg_of(configs):
    """A config by its name, its scope entered."""

    def cfg_of(name):
        cfg = read_config(str(configs[name]))
        enter_scope(cfg)
        return cfg

    return cfg_of
