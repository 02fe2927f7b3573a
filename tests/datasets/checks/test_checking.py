"""All data sets of a config are looked at, once each, and what is said to be in them is in them."""

import pytest
from mmengine.config import Config

from mmgcvit.datasets.checks import Outcome, checking
from mmgcvit.datasets.checks.contents import sizes_in_words
from mmgcvit.datasets.classes import imagenet_folders
from mmgcvit.datasets.miniature import write_miniature_ade20k, write_miniature_coco, write_miniature_imagenet
from mmgcvit.errors import UserError

from ...configs.own_data import HEIGHT, NUM_TRAIN, NUM_VAL, WIDTH, label_map, own
from ...conftest import ROOT
from .made import (
    LOADERS,
    coco_content,
    config,
    cut,
    look,
    look_at_all,
    refusal,
    write_ade20k,
    write_coco,
    write_folders,
)

WRAPPERS = [
    lambda dataset: {'type': 'RepeatDataset', 'times': 2, 'dataset': dataset},
    lambda dataset: {'type': 'ConcatDataset', 'datasets': [dataset, dataset]},
    lambda dataset: {'type': 'MultiImageMixDataset', 'dataset': dataset, 'pipeline': []},
]


def test_wrapped_sets_are_looked_into(tmp_path):
    settings = write_coco(tmp_path)
    cut(tmp_path / 'images' / 'b.jpg')
    for wrap in WRAPPERS:
        cfg = config(settings)
        cfg.train_dataloader.dataset = wrap(settings)
        (sentence,) = look_at_all(cfg).format_sentences(Outcome.STOPS)
        assert f'({tmp_path}/images/b.jpg' in sentence


def test_a_file_that_all_loaders_name_is_read_once(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(checking, 'read_json', lambda path, report: read.append(path))
    settings = write_coco(tmp_path)
    look_at_all(Config({'default_scope': 'mmdet', **{name: {'dataset': settings} for name in LOADERS}}))
    assert read == [f'{tmp_path}/train.json']


def test_classes_that_differ_between_loaders_are_refused(tmp_path):
    cfg = config(write_folders(tmp_path / 'a'))
    cfg.val_dataloader = {'dataset': write_folders(tmp_path / 'b', ('ape', 'cat'))}
    (sentence,) = look_at_all(cfg).format_sentences(Outcome.STOPS)
    assert sentence.startswith(f'{tmp_path}/b/train: other classes than the data sets before it')


def test_heads_of_other_classes_than_the_data_are_named_before_anything_is_built(tmp_path):
    """Such heads end a training in an index error, or its scores in wrong ones; a classifier's spare outputs do not."""
    coco, folders = write_coco(tmp_path / 'coco'), write_folders(tmp_path / 'folders')
    labels = write_ade20k(tmp_path / 'labels')
    rpn = {'rpn_head': {'num_classes': 1}}
    cascade = {**rpn, 'roi_head': {'bbox_head': [{'num_classes': 2}, {'num_classes': 80}], 'mask_head': {}}}
    for settings, model, named in (
        (coco, cascade, 'model.roi_head.bbox_head.1.num_classes=80'),
        (coco, {'module': {'bbox_head': {'num_classes': 1}}}, 'model.module.bbox_head.num_classes=1'),
        (labels, {'decode_head': {'num_classes': 150}}, 'model.decode_head.num_classes=150'),
        (folders, {'head': {'num_classes': 1}}, 'model.head.num_classes=1'),
    ):
        cfg = config(settings)
        cfg.model = model
        (sentence,) = look_at_all(cfg).format_sentences(Outcome.STOPS)
        assert f'another number of classes than the model predicts (2 classes, and {named})' in sentence
        cfg.model = {**rpn, 'head': {'num_classes': 2}}
        assert not look_at_all(cfg).found
    cfg.model = {'head': {'num_classes': 1000}}
    report = look_at_all(cfg)
    assert not report.found
    assert 'head.num_classes=1000: the last outputs are of no class' in report.notes[0]


def test_what_cannot_be_looked_into_is_said():
    on_server = {'type': 'CocoDataset', 'data_root': 's3://bucket/coco', 'ann_file': 'a.json'}
    for settings in (on_server, {'type': 'CIFAR10', 'data_root': '/nowhere'}):
        report = look(settings)
        assert not report.found
        assert 'is not looked into' in report.notes[0]
    with pytest.raises(UserError, match="no data set 'Cocoa'"):
        refusal({'type': 'Cocoa'})


@pytest.mark.parametrize(
    ('name', 'write'),
    [
        *((f'demo/{name}', None) for name in ('mask_rcnn_gcvit_digits', 'upernet_gcvit_digits', 'gcvit_digits_cls')),
        ('mask_rcnn_gcvit_t', write_miniature_coco),
        ('upernet_gcvit_t', write_miniature_ade20k),
        ('gcvit_xxt_in1k', lambda root: write_miniature_imagenet(root, imagenet_folders())),
    ],
)
def test_the_demos_data_and_miniatures_of_the_public_sets_give_no_complaint(name, write, digits, tmp_path):
    """Of the demo's data some are repaired: they are grey."""
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    if write:
        write(tmp_path / 'set')
    for loader in LOADERS:
        dataset = cfg[loader].dataset
        dataset.data_root = str(tmp_path / 'set') if write else dataset.data_root.replace('data/digits', str(digits))
    report = look_at_all(cfg)
    assert not report.notes
    sentences = [*report.format_sentences(Outcome.STOPS), *report.format_sentences(Outcome.LEFT_OUT)]
    assert not (report.found if write else sentences)


def held_by(cfg):
    contents = []
    look_at_all(cfg, contents=contents)
    return contents


def test_objects_pixels_and_images_are_counted_by_class(tmp_path):
    train, val, *_ = held_by(own('custom_coco', tmp_path / 'coco'))
    assert train.summary[0] == f'{NUM_TRAIN} images, all of {WIDTH} x {HEIGHT} px'
    assert train.summary[1].startswith(f'{2 * NUM_TRAIN} objects, 2.0 an image, at most 2; 0 images without')
    assert '100 % medium' in train.summary[2]
    assert train.rows == [('disc', '4', '4'), ('square', '4', '4')]
    assert val.rows == [('disc', '2', '2'), ('square', '2', '2')]
    shares = [f'{100 * (label_map() == label).mean():.0f} %' for label in range(3)]
    names = ('background', 'disc', 'square')
    rows = [(name, share, str(NUM_TRAIN)) for name, share in zip(names, shares, strict=True)]
    assert held_by(own('custom_seg', tmp_path / 'seg'))[0].rows == rows
    train, val, *_ = held_by(own('custom_cls', tmp_path / 'cls'))
    assert train.rows == [('disc', '2'), ('square', '2')]
    assert val.summary[0].startswith(f'{NUM_VAL} images')


def test_annotations_that_are_left_out_and_sizes_that_are_none_are_no_objects(tmp_path):
    """Of another category than the classes; and a box that is no box is in no size."""
    content = coco_content()
    content['annotations'][0]['bbox'] = ['a', 0, 1, 1]
    (held,) = held_by(config(write_coco(tmp_path, content) | {'metainfo': {'classes': ('cat',)}}))
    assert held.rows == [('cat', '2', '2')]
    assert '50 % small, 0 % medium, 0 % large' in held.summary[2]
    assert held_by(config(write_coco(tmp_path, {'images': []}))) == []


def test_sizes_are_summed_up_in_a_line():
    sizes = [(100, 50), (200, 60), (300, 400)]
    assert sizes_in_words(sizes) == 'width 100 to 300 px (median 200), height 50 to 400 px (median 60)'
