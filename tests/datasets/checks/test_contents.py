"""What is said to be in a data set is in it."""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from rich.progress import Progress

from mmgcvit.datasets.checks import check_datasets
from mmgcvit.datasets.checks.contact_sheet import CAPTION, CELL, COLUMNS, contact_sheet
from mmgcvit.datasets.checks.contents import sizes_in_words
from mmgcvit.hosts.configs import enter_scope, read_config

from ...configs.own_data import HEIGHT, NUM_TRAIN, NUM_VAL, TEMPLATES, WIDTH, label_map
from ...conftest import ROOT
from ...tools.commands import call
from .made import coco_content, config, write_coco

LOADERS = ['train_dataloader', 'val_dataloader', 'test_dataloader']


@pytest.fixture
def own(request, tmp_path):
    """A template's config, pointed at data of its kind."""
    write, classes = TEMPLATES[request.param]
    write(tmp_path)
    path = str(ROOT / 'configs' / f'{request.param}.py')
    return read_config(path, {'data_root': str(tmp_path), 'classes': classes})


def sheet_of(cfg, loaders=LOADERS):
    enter_scope(cfg)
    return contact_sheet(cfg, loaders)


def held_by(cfg: Config):
    contents = []
    enter_scope(cfg)
    check_datasets(cfg, [name for name in LOADERS if name in cfg], None, Progress(disable=True), contents)
    return contents


@pytest.mark.parametrize('own', ['custom_coco'], indirect=True)
def test_objects_are_counted_by_class_and_image_and_by_size(own):
    train, val = held_by(own)
    assert train.summary[0] == f'{NUM_TRAIN} images, all of {WIDTH} x {HEIGHT} px'
    assert train.summary[1].startswith(f'{2 * NUM_TRAIN} objects, 2.0 an image, at most 2; 0 images without')
    assert '100 % medium' in train.summary[2]
    assert train.rows == [('disc', '4', '4'), ('square', '4', '4')]
    assert val.rows == [('disc', '2', '2'), ('square', '2', '2')]


@pytest.mark.parametrize('own', ['custom_seg'], indirect=True)
def test_pixels_are_counted_by_class(own):
    train, _ = held_by(own)
    shares = [f'{100 * (label_map() == label).mean():.0f} %' for label in range(3)]
    assert train.rows == [
        (name, share, str(NUM_TRAIN)) for name, share in zip(('background', 'disc', 'square'), shares, strict=True)
    ]


@pytest.mark.parametrize('own', ['custom_cls'], indirect=True)
def test_images_are_counted_by_class(own):
    train, val = held_by(own)
    assert train.rows == [('disc', '2'), ('square', '2')]
    assert val.summary[0].startswith(f'{NUM_VAL} images')


def test_annotations_that_are_left_out_and_sizes_that_are_none_are_no_objects(tmp_path):
    """Of another category than the classes; and a box that is no box is in no size."""
    content = coco_content()
    content['annotations'][0]['bbox'] = ['a', 0, 1, 1]
    dataset = write_coco(tmp_path, content) | {'metainfo': {'classes': ('cat',)}}
    (held,) = held_by(config(dataset))
    assert held.rows == [('cat', '2', '2')]
    assert '50 % small, 0 % medium, 0 % large' in held.summary[2]


def test_a_file_that_is_none_of_cocos_is_not_described(tmp_path):
    assert held_by(config(write_coco(tmp_path, {'images': []}))) == []


def test_sizes_are_summed_up_in_a_line():
    sizes = np.array([[100, 50], [200, 60], [300, 400]])
    assert sizes_in_words(sizes) == 'width 100 to 300 px (median 200), height 50 to 400 px (median 60)'


@pytest.mark.parametrize('own', TEMPLATES, indirect=True)
def test_the_contact_sheet_shows_samples_of_each_data_set(own):
    """A row of each, in other colours than white where there is a sample and in white where there is none."""
    sheet = np.array(sheet_of(own))
    assert sheet.shape == (2 * (CELL[1] + 2 * CAPTION), COLUMNS * CELL[0], 3)
    last_row = sheet[-CELL[1] - CAPTION : -CAPTION]
    assert (last_row[:, : NUM_VAL * CELL[0]] < 255).any(-1).mean() > 0.9
    assert (last_row[:, NUM_VAL * CELL[0] :] == 255).all()


@pytest.mark.parametrize('own', ['custom_coco'], indirect=True)
def test_what_is_drawn_is_what_is_annotated(own, tmp_path):
    """The sheet of a set is another where a box is."""
    sheet = sheet_of(own, ['train_dataloader'])
    path = tmp_path / 'annotations' / 'train.json'
    path.write_text(path.read_text().replace('"bbox": [50, 20', '"bbox": [44, 20'))
    assert sheet.tobytes() != sheet_of(own, ['train_dataloader']).tobytes()


@pytest.mark.parametrize('own', ['custom_coco'], indirect=True)
def test_a_damaged_image_is_left_out_and_a_damaged_list_named(own, tmp_path):
    (tmp_path / 'train' / '1.jpg').write_text('no image')
    (tmp_path / 'annotations' / 'val.json').write_text('{')
    sheet = np.array(sheet_of(own))
    assert sheet.shape[0] == CELL[1] + 3 * CAPTION
    assert (sheet[CAPTION : CAPTION + CELL[1], 3 * CELL[0] :] == 255).all()


@pytest.mark.slow
def test_the_command_shows_both(tmp_path):
    write, classes = TEMPLATES['custom_cls']
    write(tmp_path)
    command = [
        '-m',
        'mmgcvit',
        'check-data',
        'configs/custom_cls.py',
        '--contact-sheet',
        tmp_path / 'sheet.jpg',
    ]
    options = ['--cfg-options', f'data_root={tmp_path}', f'classes={",".join(classes)}']
    output = call('', *command, *options, COLUMNS='200')
    assert '4 images, all of 96 x 72 px' in output
    assert 'square' in output
    assert Image.open(tmp_path / 'sheet.jpg').width == COLUMNS * CELL[0]
    refused = call('', *command[:-1], tmp_path / 'sheet.gif', *options, fails=True)
    assert 'expected the name of a .jpg, .jpeg, .png file' in refused
    assert 'Traceback' not in refused
