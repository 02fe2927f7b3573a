"""Each error in a dataset is reported in one message with the file's name.

Valid datasets have no reports.
"""

import json
from math import inf
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config

from mmgcvit.commands.mistakes import load_split
from mmgcvit.datasets.checks.sources import check_presence, get_check_settings
from mmgcvit.datasets.rules.coco import OTHER_CATEGORIES
from mmgcvit.engine.data import check_data
from mmgcvit.errors import UserError
from mmgcvit.host.config import LOADERS, find_max_objects
from mmgcvit.predict.model_files import ModelFiles

from ..own.data.formats.made import write
from .checks.made import (
    HEIGHT,
    NAMES,
    WIDTH,
    check,
    coco_content,
    config,
    cut,
    write_ade20k,
    write_coco,
    write_folders,
    write_rotated_coco,
)

# The box of each object, in columns.
RLE = {'size': [HEIGHT, WIDTH], 'counts': [63, *[12, 18] * 9, 12, 855]}


def coco(change):
    """Return a function that writes a COCO dataset with a change of its content."""

    def write(root):
        content = coco_content()
        change(content)
        return write_coco(root, content)

    return write


def first(name, /, **changes):
    """Return a function that writes a COCO dataset with another first image, annotation or
    category.
    """
    return coco(lambda content: content[name][0].update(changes))


def append(name, /, **entry):
    return coco(lambda content: content[name].append(entry))


def remove(name, key):
    return coco(lambda content: content[name][0].pop(key))


def class_folders(folders, classes):
    """Return a function that writes class folders, with the config's classes."""
    return lambda root: write_folders(root, folders) | {'metainfo': {'classes': classes}}


# A function that writes a dataset in train.json or train, and a part of the message: the value that
# breaks a rule. Their rules are in the table of mutations, which tries one fault of each in all
# splits and commands (test_rules.py). Here it is only asked whether the sentence names the value.
FAULTS = [
    (first('annotations', id=[10]), "COCO's format ("),
    (append('categories', id=3, name='cat'), 'name cat'),
    (first('annotations', segmentation=RLE | {'size': [3, 4]}), 'nor RLE'),
    (first('annotations', segmentation=RLE | {'counts': [-5, 1205]}), 'nor RLE'),
    (class_folders(('1', '10', '2'), ('1', '2', '10')), "'10' would be called '2'"),
    (class_folders((), ('a',)), 'No such file'),
    (first('annotations', id=0), 'annotations id 0'),
    (first('annotations', id=10**400), 'annotations id 1000'),
    (append('categories', id=2**63, name='x'), 'categories id 9223'),
    (remove('annotations', 'iscrowd'), "(id 10) has no 'iscrowd'"),
]


@pytest.mark.parametrize(('write_fault', 'words'), FAULTS)
def test_an_issue_is_reported_in_one_message_with_the_file_name(write_fault, words, tmp_path):
    """The last ones matter in scores only."""
    (sentence,) = check(config(write_fault(tmp_path), 'val_dataloader')).format_messages()
    assert f'{tmp_path}/train' in sentence
    assert words in sentence


def write_unlabelled(root):
    settings = write_ade20k(root)
    write(root / 'labels/b.png', np.full((HEIGHT, WIDTH), 255, np.uint8))
    return settings


@pytest.mark.parametrize(
    'write',
    [
        write_coco,
        first('annotations', segmentation=RLE),
        first('annotations', iscrowd=1),
        write_rotated_coco,
        write_folders,
        class_folders(('n01', 'n02'), ('tench', 'goldfish')),
        write_unlabelled,
    ],
)
def test_valid_datasets_give_no_report(write, tmp_path):
    for loader in ('train_dataloader', 'val_dataloader'):
        report = check(config(write(tmp_path), loader))
        assert (report.issues, report.notes) == ([], [])


def test_masks_and_annotations_are_checked_only_if_they_are_needed(tmp_path):
    dataset = remove('annotations', 'segmentation')(tmp_path)
    dataset['pipeline'] = [{'type': 'LoadAnnotations', 'with_bbox': True}]
    assert not check(config(dataset)).issues
    dataset = coco(lambda content: content.pop('annotations'))(tmp_path)
    report = check(config(dataset, 'test_dataloader'))
    assert not report.issues
    assert 'cannot be scored' in report.notes[0]


def test_wrapped_datasets_and_random_samples_of_images_are_checked(tmp_path):
    dataset = write_coco(tmp_path)
    repeated = {'type': 'RepeatDataset', 'times': 2, 'dataset': dataset}
    cfg = config({'type': 'ConcatDataset', 'datasets': [repeated]})
    cfg.default_scope = 'mmdet'
    for number, name in enumerate(NAMES, start=1):
        cut(tmp_path / 'images' / name)
        (message,) = check(cfg).format_messages()
        assert f'{tmp_path}/images/a.jpg' in message
        assert (f'({number} of them: ' in message) == (number > 1)
    (issue,) = check(config(dataset), images=2).issues
    assert len(issue.examples) == 2
    for name in NAMES:
        (tmp_path / 'images' / name).unlink()
    (issue,) = check(config(dataset), images=0).issues
    assert len(issue.examples) == len(NAMES), 'files are looked for though they are not decoded'


RPN = {'rpn_head': {'num_classes': 1}}


@pytest.mark.parametrize(
    ('write', 'model', 'words'),
    [
        (
            write_coco,
            {'roi_head': {'bbox_head': [{'num_classes': 2}, {'num_classes': 80}], **RPN}},
            'roi_head.bbox_head.1.num_classes=80',
        ),
        (write_ade20k, {'decode_head': {'num_classes': 150}}, 'decode_head.num_classes=150'),
        (write_folders, {'head': {'num_classes': 1}}, 'head.num_classes=1'),
    ],
)
def test_heads_with_another_number_of_classes_are_reported(write, model, words, tmp_path):
    """Such heads raise an index error in training or give wrong scores.

    A classifier may have unused outputs.
    """
    dataset = write(tmp_path)
    (sentence,) = check(config(dataset, model=model)).format_messages()
    assert f'(2 classes, and model.{words})' in sentence
    assert not check(config(dataset, model={**RPN, 'head': {'num_classes': 2}})).issues
    issues = check(config(dataset, model={'head': {'num_classes': 1000}})).issues
    assert bool(issues) == (write is not write_folders)


def test_a_head_without_classes_of_its_own_has_another_number(tmp_path):
    """One box for all classes."""
    for is_agnostic in (True, False):
        model = {'roi_head': {'bbox_head': {'num_classes': 1, 'class_agnostic': is_agnostic}}}
        issues = check(config(write_coco(tmp_path), model=model)).issues
        assert bool(issues) != is_agnostic


@pytest.mark.parametrize('loader', LOADERS)
def test_a_file_without_annotations_is_only_for_predictions(loader, tmp_path):
    """A file of images alone cannot be trained on, and its predictions cannot be scored."""
    content = coco_content()
    content.pop('annotations')
    report = check(config(write_coco(tmp_path, content), loader))
    is_trained = loader == LOADERS[0]
    assert any('annotation file' in issue.rule.problem for issue in report.issues) == is_trained
    assert any('has no annotations' in note for note in report.notes) != is_trained


RCNN = {'test_cfg': {'rpn': {'max_per_img': 1000}, 'rcnn': {'max_per_img': 100}}}


@pytest.mark.parametrize(
    ('model', 'limit'),
    [
        (RCNN, 100),
        ({'tta_cfg': {'max_per_img': 50}, 'module': RCNN}, 50),
        ({'tta_cfg': {'max_per_img': 300}, 'module': RCNN}, 100),
        ({'test_cfg': {'max_per_img': 300}, 'num_queries': 200}, 200),
        ({'test_cfg': {'max_per_image': 100}, 'panoptic_head': {'num_queries': 80}}, 80),
        ({'test_cfg': {'max_per_image': 60}, 'panoptic_head': {'num_queries': 80}}, 60),
        ({'test_cfg': {'max_per_img': -1}}, inf),
        ({'test_cfg': None}, inf),
    ],
)
def test_the_limit_of_objects_is_that_of_all_parts_of_a_detector(model, limit):
    assert find_max_objects(ConfigDict(model)) == limit
    assert find_max_objects(SimpleNamespace(**ConfigDict(model))) == limit


# The splits that each command reads, and how it checks them.
COMMANDS = {
    'train CONFIG': (('train', 'val'), lambda files: check_data(files.cfg, LOADERS[:2])),
    'test': (('test',), lambda files: check_data(files.cfg, LOADERS[2:])),
    'mistakes': (('val',), lambda files: load_split(files, 'val', ())),
    'mistakes --split test': (('test',), lambda files: load_split(files, 'test', ())),
}


@pytest.mark.parametrize('planted', ['train', 'val', 'test'])
@pytest.mark.parametrize('command', [*COMMANDS])
def test_a_command_checks_the_splits_that_it_reads(command, planted, tmp_path):
    """The table of rules (test_rules.py) has all rules for each split, and for folders, which
    train --data and check-data read with one function. check-data CONFIG checks all loaders.
    """
    dataset = write_coco(tmp_path)
    loaders = {}
    for split in ('train', 'val', 'test'):
        content = coco_content()
        if split == planted:
            content['categories'].reverse()
        (tmp_path / f'{split}.json').write_text(json.dumps(content))
        loaders[f'{split}_dataloader'] = {'dataset': dataset | {'ann_file': f'{split}.json'}}
    cfg = Config({'default_scope': 'mmdet', 'work_dir': str(tmp_path / 'run'), **loaders})
    splits, read = COMMANDS[command]
    files = ModelFiles(tmp_path / 'config.py', 'x.pth', cfg)
    if planted not in splits:
        read(files)
        return
    with pytest.raises(UserError, match=OTHER_CATEGORIES.problem):
        read(files)


@pytest.mark.parametrize('part', ['val', 'test'])
def test_an_evaluator_has_the_annotations_of_its_dataset(part, tmp_path):
    """Else the scores say nothing. A copy of the file is not another one."""
    dataset = write_coco(tmp_path)
    (tmp_path / 'copy.json').write_bytes((tmp_path / 'train.json').read_bytes())
    (tmp_path / 'other.json').write_text((tmp_path / 'train.json').read_text() + ' ')
    found = {}
    for name in ('train', 'copy', 'other', 'missing'):
        metrics = [{'type': 'CocoMetric', 'ann_file': f'{tmp_path}/{name}.json'}]
        cfg = config(dataset, f'{part}_dataloader', **{f'{part}_evaluator': metrics})
        found[name] = '\n'.join(check(cfg).format_messages())
    assert (found['train'], found['copy']) == ('', '')
    for name in ('other', 'missing'):
        assert f'{part}_evaluator reads {tmp_path}/{name}.json' in found[name]
        assert 'the same ann_file' in found[name]


def test_the_test_command_names_crowded_images_once(call, work_dirs, digits):
    """The detector finds three objects at most."""
    root = f'{digits}/coco/'
    options = [f'test_dataloader.dataset.data_root={root}']
    options += [f'test_evaluator.ann_file={root}annotations/instances_val2017.json']
    code, output = call('test', work_dirs['detection'], '--device=cpu', '--cfg-options', *options)
    assert (code, output.count('more objects than the model finds')) == (0, 1)
    assert 'the limit is 3' in output


def test_datasets_that_are_not_checked_are_reported():
    for dataset in (
        {'type': 'CocoDataset', 'data_root': 's3://bucket/coco'},
        {'type': 'CIFAR10', 'data_root': '/no'},
    ):
        assert 'is not checked' in check(config(dataset)).notes[0]
    with pytest.raises(UserError, match="no dataset class 'Cocoa'"):
        check(config({'type': 'Cocoa'}))


def test_check_settings_are_non_negative_integers():
    found = get_check_settings(Config({'data_checks': {'images': 3}}))
    assert found == {'images': 3, 'unreadable_images': 20, 'mirroring': 1}
    for invalid in ({'imgs': 3}, {'images': -1}, {'unreadable_images': 1.5}, {'images': True}):
        with pytest.raises(
            UserError, match='expected images or unreadable_images or mirroring, an'
        ):
            get_check_settings(Config({'data_checks': invalid}))


def get_missing(cfg):
    """Return the error message for the missing files of a config."""
    with pytest.raises(UserError) as error:
        check_presence(cfg, ['train_dataloader'])
    return str(error.value)


def test_missing_files_are_listed_with_how_to_get_them():
    dataset = {'data_root': '/no', 'ann_file': ['a'], 'data_prefix': {'img': 'b/'}}
    message = get_missing(Config({'train_dataloader': {'dataset': {'dataset': dataset}}}))
    assert all(word in message for word in ('/no/a\n', '/no/b\n', 'ln -s /path'))


def test_segmentation_maps_are_required_only_if_the_pipeline_reads_them():
    """Mask2Former's instance segmentation config inherits data_prefix.seg from the panoptic
    config.
    """
    instances = get_missing(get_config('mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'))
    assert 'data/coco/train2017' in instances
    assert 'annotations/panoptic' not in instances
    panoptic = get_missing(get_config('mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py'))
    assert 'data/coco/annotations/panoptic_train2017\n' in panoptic
