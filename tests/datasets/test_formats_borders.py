"""What a reader does with a folder that lies just beside what it is made for.

Modules: `mmgcvit/datasets/formats`, `mmgcvit/datasets/layouts.py`.
"""

import json

import numpy as np
import pytest

from mmgcvit.datasets.formats import read_folder
from mmgcvit.errors import UserError

from ..coco import make_annotation, make_content, make_image
from .formats.made import write

SIDE = 40
BOX = '0 0.5 0.5 0.5 0.5'  # a line of YOLO
NAMES = 'names: [cat, dog]\n'


def write_picture(path, number):
    """Write a picture that no other one of this number is a copy of."""
    write(path, np.full((SIDE, SIDE, 3), 5 * number, np.uint8))


def write_yolo(root, yaml, images):
    """Write pictures at these paths, each with a box, and a YAML file."""
    write(root / 'data.yaml', NAMES + yaml)
    for number, name in enumerate(images):
        write_picture(root / f'{name}.png', number)
        write(root / f'{name}.txt'.replace('images', 'labels'), BOX)


def list_names(dataset, split='train'):
    return [path.stem for path in dataset.splits[split].image_paths]


def test_a_yolo_path_with_dots_that_may_be_two_folders_is_asked_about(tmp_path):
    """Roboflow writes ../train/images for train/images."""
    root = tmp_path / 'data'
    write_yolo(root, 'train: ../train/images\n', ['train/images/a', 'train/images/b'])
    assert list_names(read_folder(root)) == ['a', 'b']
    write_picture(tmp_path / 'train/images/c.png', 9)
    with pytest.raises(UserError, match=r'\.\./train/images is .* or .*, and both exist'):
        read_folder(root)


@pytest.mark.parametrize('folder', ['', 'data/'])
def test_the_start_of_cvats_lines_is_a_folder_only_where_there_is_one(folder, tmp_path):
    names = [f'{folder}images/train/a', f'{folder}images/train/b']
    write_yolo(tmp_path, 'train: train.txt\n', names)
    write(tmp_path / 'train.txt', 'data/images/train/a.png\ndata/images/train/b.png\n')
    assert list_names(read_folder(tmp_path)) == ['a', 'b']


@pytest.mark.parametrize('split', ['val', 'test'])
def test_a_yolo_folder_of_another_split_that_is_missing_is_named(split, tmp_path):
    """Tools name folders for splits that they do not write."""
    write_yolo(tmp_path, f'train: images/train\n{split}: images/{split}\n', ['images/train/a'])
    dataset = read_folder(tmp_path)
    assert [*dataset.splits] == ['train']
    assert f'{split} is left out: ' in '\n'.join(dataset.notes)


def test_the_last_folder_of_images_is_that_of_labels(tmp_path):
    """As for Ultralytics."""
    write(tmp_path / 'data.yaml', f'{NAMES}train: images/x/images\n')
    write_picture(tmp_path / 'images/x/images/a.png', 1)
    write(tmp_path / 'images/x/labels/a.txt', BOX)
    assert read_folder(tmp_path).splits['train'].count_classes() == {'cat': 1}


def write_voc_lists(root, lists):
    """Write pictures a to e with XML files, and lists of their names in ImageSets."""
    for number, name in enumerate('abcde'):
        write_picture(root / f'JPEGImages/{name}.png', number)
        box = '<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>30</ymax></bndbox>'
        size = f'<size><width>{SIDE}</width><height>{SIDE}</height></size>'
        text = f'<annotation>{size}<object><name>cat</name>{box}</object></annotation>'
        write(root / f'Annotations/{name}.xml', text)
    for name, lines in lists.items():
        write(root / f'ImageSets/Main/{name}.txt', '\n'.join(lines))


@pytest.mark.parametrize(
    ('lists', 'expected'),
    [
        ({'trainval': 'abcde', 'val': 'de'}, {'train': 'abc', 'val': 'de'}),
        ({'trainval': 'abcd', 'val': 'd', 'test': 'e'}, {'train': 'abc', 'val': 'd', 'test': 'e'}),
        ({'default': 'abcde', 'test': 'e'}, {'train': 'abcd', 'test': 'e'}),
        ({'trainval': 'abcde', 'train': 'ab', 'val': 'c'}, {'train': 'ab', 'val': 'c'}),
    ],
)
def test_no_image_of_another_list_is_trained(lists, expected, tmp_path):
    """The list trainval has the images of both splits."""
    write_voc_lists(tmp_path, lists)
    dataset = read_folder(tmp_path)
    assert {split: ''.join(list_names(dataset, split)) for split in dataset.splits} == expected
    assert 'also in validation or test' not in '\n'.join(dataset.notes)


def write_coco(root, split, classes, used, number):
    """Write a picture and an annotation file, with an object of each of the classes ``used``."""
    write_picture(root / f'{split}/{number}.png', number)
    ids = {name: index for index, name in enumerate(classes)}
    annotations = [
        make_annotation(index, 1, ids[name], [4, 4, 20, 10]) for index, name in enumerate(used)
    ]
    content = make_content([make_image(1, f'{number}.png', SIDE, SIDE)], annotations, ids)
    for category in content['categories']:
        category['supercategory'] = 'things'
    write(root / f'annotations/instances_{split}.json', json.dumps(content))


@pytest.mark.parametrize(
    ('used', 'classes'), [(['cat', 'dog'], ('cat', 'dog')), (['things', 'cat'], None)]
)
def test_roboflows_parent_of_all_classes_is_left_out_if_it_has_no_objects(used, classes, tmp_path):
    names = ['things', 'cat', 'dog']
    write_coco(tmp_path, 'train', names, used, 1)
    assert read_folder(tmp_path).classes == (classes or (*names,))


def test_validation_may_list_a_class_that_training_lacks_but_have_no_object_of_it(tmp_path):
    write_coco(tmp_path, 'train', ['cat', 'dog'], ['cat', 'dog'], 1)
    write_coco(tmp_path, 'val', ['cat', 'dog', 'cow'], ['cat', 'dog'], 2)
    assert read_folder(tmp_path).classes == ('cat', 'dog')
    write_coco(tmp_path, 'val', ['cat', 'dog', 'cow'], ['cat', 'cow'], 2)
    with pytest.raises(UserError, match='has objects of the classes cow, but training has only'):
        read_folder(tmp_path)


def write_maps(root, maps, names):
    for number, values in enumerate(maps):
        write_picture(root / f'images/{number}.png', number)
        labels = np.resize(np.array(values, np.uint8), (SIDE, SIDE))
        write(root / f'masks/{number}.png', labels)
    write(root / 'classes.txt', '\n'.join(names))


@pytest.mark.parametrize(
    ('maps', 'num_classes', 'expected'),
    [
        ([[0, 255], [0]], 2, 'read as 1'),  # 255 is the second class
        ([[0, 1], [0, 1, 255]], 2, ''),  # beside 1, it is no class
        ([[0, 1, 2], [0, 2, 255]], 3, ''),
        ([[0, 1, 255], [0, 255]], 2, ''),
        ([[0, 255], [0, 1]], 2, 'has 255 and no 1'),
        ([[0, 255], [0, 1, 2]], 3, ''),  # more classes than two: 255 can only be none
        ([[255], [255]], 2, 'has no labelled pixel'),
    ],
)
def test_255_is_the_second_of_two_classes_only_where_nothing_else_can_be(
    maps, num_classes, expected, tmp_path
):
    write_maps(tmp_path, maps, ['sky', 'cat', 'dog'][:num_classes])
    if 'has' in expected:
        with pytest.raises(UserError, match=expected):
            read_folder(tmp_path, 'semantic')
        return
    dataset = read_folder(tmp_path, 'semantic')
    assert any('is read as 1' in note for note in dataset.notes) == bool(expected)
    counts = dataset.splits['train'].count_classes()
    num_with_cat = sum(1 in each or (bool(expected) and 255 in each) for each in maps)
    assert counts['cat'] == num_with_cat


@pytest.mark.parametrize(('num_masks', 'annotation_type'), [(18, 'boxes'), (19, 'masks')])
def test_masks_are_trained_if_more_than_nine_of_ten_objects_have_one(
    num_masks, annotation_type, tmp_path
):
    """Of 20 objects."""
    write_picture(tmp_path / 'train/a.png', 1)
    annotations = []
    for number in range(20):
        x = 4 + number / 2
        triangle = [x, 4, x + 20, 4, x, 14]
        masks = [triangle] if number < num_masks else []
        annotations.append(make_annotation(number, 1, 1, [x, 4, 20, 10], segmentation=masks))
    content = make_content([make_image(1, 'a.png', SIDE, SIDE)], annotations, {'cat': 1})
    write(tmp_path / 'annotations/instances_train.json', json.dumps(content))
    assert read_folder(tmp_path).annotation_types[0] == annotation_type
