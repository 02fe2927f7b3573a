"""All data sets of a config are looked at, once each."""

import pytest
from mmengine.config import Config
from rich.progress import Progress

from mmgcvit.datasets.checks import Outcome, check_datasets
from mmgcvit.datasets.checks import checking as module
from mmgcvit.datasets.miniature import (
    COCO_CATEGORIES,
    imagenet_folders,
    write_miniature_ade20k,
    write_miniature_coco,
    write_miniature_imagenet,
)
from mmgcvit.hosts.configs import enter_scope

from ...conftest import ROOT
from .made import config, cut, look, refusal, write_coco, write_folders

LOADERS = ['train_dataloader', 'val_dataloader', 'test_dataloader']


def look_at_all(cfg):
    enter_scope(cfg)
    return check_datasets(cfg, LOADERS, None, Progress(disable=True))


@pytest.mark.parametrize(
    'wrap',
    [
        lambda dataset: {'type': 'RepeatDataset', 'times': 2, 'dataset': dataset},
        lambda dataset: {'type': 'ConcatDataset', 'datasets': [dataset, dataset]},
        lambda dataset: {'type': 'MultiImageMixDataset', 'dataset': dataset, 'pipeline': []},
    ],
)
def test_wrapped_sets_are_looked_into(wrap, tmp_path):
    settings = write_coco(tmp_path)
    cut(tmp_path / 'images' / 'b.jpg')
    cfg = config(settings)
    cfg.train_dataloader.dataset = wrap(settings)
    (sentence,) = look_at_all(cfg).sentences(Outcome.STOPS)
    assert f'(1: {tmp_path}/images/b.jpg' in sentence


def test_a_file_that_all_loaders_name_is_read_once(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(module, 'read_json', lambda path, report: read.append(path))
    settings = write_coco(tmp_path)
    cfg = Config({'default_scope': 'mmdet', **{name: {'dataset': settings} for name in LOADERS}})
    look_at_all(cfg)
    assert read == [f'{tmp_path}/train.json']


def test_classes_that_differ_between_loaders_are_refused(tmp_path):
    cfg = config(write_folders(tmp_path / 'a'))
    cfg.val_dataloader = {'dataset': write_folders(tmp_path / 'b', ('ape', 'cat'))}
    (sentence,) = look_at_all(cfg).sentences(Outcome.STOPS)
    assert sentence.startswith(f'{tmp_path}/b/train: other classes than the data sets before it')


@pytest.mark.parametrize(
    'settings',
    [
        {'type': 'CocoDataset', 'data_root': 's3://bucket/coco', 'ann_file': 'a.json'},
        {'type': 'CIFAR10', 'data_root': '/nowhere'},
    ],
)
def test_what_cannot_be_looked_into_is_said(settings):
    report = look(settings)
    assert not report.found
    assert 'is not looked into' in report.notes[0]


def test_an_unknown_data_set_is_named():
    with pytest.raises(SystemExit, match="no data set 'Cocoa'"):
        refusal({'type': 'Cocoa'})


@pytest.mark.parametrize('name', ['mask_rcnn_gcvit_digits', 'upernet_gcvit_digits', 'gcvit_digits_cls'])
def test_the_demos_data_give_no_complaint(name, digits):
    cfg = Config.fromfile(ROOT / 'configs' / 'demo' / f'{name}.py')
    for loader in LOADERS:
        dataset = cfg[loader].dataset
        dataset.data_root = dataset.data_root.replace('data/digits', str(digits))
    report = look_at_all(cfg)
    assert not report.sentences(Outcome.STOPS) + report.sentences(Outcome.LEFT_OUT) + report.notes


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'write'),
    [
        ('mask_rcnn_gcvit_t', lambda root: write_miniature_coco(root, COCO_CATEGORIES)),
        ('upernet_gcvit_t', write_miniature_ade20k),
        ('gcvit_xxt_in1k', lambda root: write_miniature_imagenet(root, imagenet_folders())),
    ],
)
def test_miniatures_of_the_public_sets_give_no_complaint(name, write, tmp_path):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    write(tmp_path / 'set')
    for loader in LOADERS:
        cfg[loader].dataset.data_root = str(tmp_path / 'set')
    report = look_at_all(cfg)
    assert not report.found
    assert not report.notes
