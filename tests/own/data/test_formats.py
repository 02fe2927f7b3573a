"""Errors in a dataset are reported with the cause."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from mmgcvit.errors import UserError
from mmgcvit.own.data.formats import read_folder

from .formats.made import write, write_example
from .misfits import MISFITS, TASKS, copy, edit


def test_coco_files_that_are_not_read_are_named(tmp_path):
    """A folder of images may be a link."""
    root = tmp_path / 'data'
    write_example(root, 'coco')
    (root / 'train').rename(tmp_path / 'elsewhere')
    (root / 'train').symlink_to(tmp_path / 'elsewhere')
    write(root / 'notes.json', '{')
    copy('annotations/val.json', 'annotations/fold2.json')(root)
    assert 'COCO files of no split were not read: annotations/fold2.json' in str(read_folder(root))
    with pytest.raises(UserError, match=r'fold2\.json is a file\. Pass the folder'):
        read_folder(root / 'annotations' / 'fold2.json')


def test_a_test_split_needs_no_segmentation_maps(tmp_path):
    write_example(tmp_path, 'maps')
    shutil.copytree(tmp_path / 'images' / 'val', tmp_path / 'images' / 'test')
    notes = read_folder(tmp_path, 'semantic').notes
    assert 'says what they show: 2 images (images/test/4.jpg' in '\n'.join(notes)


def test_files_in_class_folders_that_are_no_images_are_named(tmp_path):
    write_example(tmp_path, 'classes')
    write(tmp_path / 'train' / 'third' / 'a.jpg_large', '')
    assert 'they are no images: train/third/a.jpg_large' in str(read_folder(tmp_path))


def test_damaged_json_files_beside_class_folders_are_named(tmp_path):
    write_example(tmp_path, 'classes')
    write(tmp_path / 'labels.json', '{')
    assert 'not read: labels.json is not valid JSON' in str(read_folder(tmp_path))


def test_annotation_files_that_do_not_fit_are_named_where_maps_are_read(tmp_path):
    write_example(tmp_path, 'maps')
    write(tmp_path / 'other/0.xml', '<annotation/>')
    notes = '\n'.join(read_folder(tmp_path, 'semantic').notes)
    assert 'annotation files are not read: no image has an XML file of its name' in notes


@pytest.mark.parametrize(
    ('name', 'lines', 'expected'),
    [
        ('classes.txt', '0 sky|1 cat|2 dog', ('sky', 'cat', 'dog')),
        ('classes.txt', '0: sky|1: cat|2: dog', ('sky', 'cat', 'dog')),
        ('classes.txt', '2 wheels|4 wheels|8 wheels', ('2 wheels', '4 wheels', '8 wheels')),
        ('classes.txt', '0 sky|cat|dog', ('0 sky', 'cat', 'dog')),
        ('classes.txt', '__ignore__|_background_|cat|dog', ('_background_', 'cat', 'dog')),
        ('labels.txt', '__ignore__|_background_|cat|dog', ('_background_', 'cat', 'dog')),
        ('labels.txt', 'a.jpg|b.jpg|c.jpg', ('class 0', 'class 1', 'class 2')),
    ],
)
def test_class_names_in_a_file_are_those_that_its_tool_means(name, lines, expected, tmp_path):
    """Numbers before names are class indices if they are those of the lines, and labelme's
    __ignore__ is no class. Other programs' labels.txt may list anything.
    """
    write_example(tmp_path, 'maps')
    (tmp_path / name).write_text(lines.replace('|', '\n') + '\n')
    assert read_folder(tmp_path, 'semantic').classes == expected


def test_a_photo_with_another_map_of_the_same_classes_is_no_copy(tmp_path):
    write_example(tmp_path, 'maps')
    shutil.copy(tmp_path / 'images/train/0.jpg', tmp_path / 'images/train/copy.jpg')
    labels = np.array(Image.open(tmp_path / 'labels/train/0.png'))
    write(tmp_path / 'labels/train/copy.png', labels)
    assert 'more than once (the first' in str(read_folder(tmp_path, 'semantic'))
    write(tmp_path / 'labels/train/copy.png', labels[::-1])
    with pytest.raises(UserError, match='more than once, with other classes, boxes, masks or maps'):
        read_folder(tmp_path, 'semantic')


def test_faults_of_this_package_are_not_shown_as_faults_of_a_file(monkeypatch, tmp_path):
    def fail(*_):
        raise TypeError('a fault')

    write_example(tmp_path, 'coco')
    monkeypatch.setattr('mmgcvit.own.data.formats.coco.parse_flag', fail)
    with pytest.raises(TypeError, match='a fault'):
        read_folder(tmp_path)


def test_images_that_two_splits_of_yolo_list_are_not_trained(tmp_path):
    write_example(tmp_path, 'yolo')
    write(tmp_path / 'val.txt', 'images/0.jpg\nimages/1.jpg')
    write(tmp_path / 'test.txt', 'images/1.jpg')
    edit('data.yaml', 'nc: 2', 'val: val.txt\ntest: test.txt\nnc: 2')(tmp_path)
    assert [len(split.image_names) for split in read_folder(tmp_path).splits.values()] == [4, 2, 1]


def test_one_image_with_the_name_of_another_classs_makes_no_pairs(tmp_path):
    for folder, stems in {'a': range(9), 'b': ['x'], 'c': [7, 8, 'x', *range(20, 25)]}.items():
        for stem in stems:
            path = tmp_path / folder / f'{stem}.png'
            write(path, np.full((9, 9), len([*tmp_path.rglob('*.png')]), np.uint8))
    assert len(read_folder(tmp_path).splits['train'].image_names) == 18


def test_segment_needs_masks_of_nearly_all_objects(tmp_path):
    write_example(tmp_path, 'coco')
    edit('*.json', '"segmentation"', '"x"')(tmp_path)
    with pytest.raises(UserError, match='objects have a mask'):
        read_folder(tmp_path, 'segment')


@pytest.mark.parametrize(
    ('data_format', 'change', 'words'),
    [(name, *fault) for name, faults in MISFITS.items() for fault in faults],
)
def test_invalid_datasets_are_rejected_with_the_cause(data_format, change, words, tmp_path):
    root = tmp_path / 'data'
    write_example(root, data_format)
    change(root)
    with pytest.raises(UserError, match=re.escape(words)):
        read_folder(root, TASKS.get(data_format))


def test_a_folder_of_the_mot_challenge_is_refused_with_the_way_out(tmp_path):
    """Its images would look like the folder of a class."""
    for name in ('img1/000001.jpg', 'gt/gt.txt'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(
        UserError, match=r'gt/gt\.txt of the MOT Challenge, with tracks\. Convert it'
    ):
        read_folder(tmp_path)
