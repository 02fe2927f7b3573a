"""What breaks a rule, and what lies just beside it.

Modules: `mmgcvit/datasets/rules/judge.py`, `mmgcvit/datasets/rules/objects.py`,
`mmgcvit/datasets/rules/classes.py`, `mmgcvit/datasets/rules/copies.py`.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmgcvit.datasets.annotations import Box, LabelledObject
from mmgcvit.datasets.formats import read_folder
from mmgcvit.datasets.records import ClassImage, ClassSplit, DatasetInfo, ObjectImage, ObjectSplit
from mmgcvit.datasets.rules.classes import find_few_scored, find_missing_classes
from mmgcvit.datasets.rules.copies import find_copies
from mmgcvit.datasets.rules.judge import find_empty, find_split
from mmgcvit.datasets.rules.objects import (
    find_box_masks,
    find_corner_boxes,
    find_repeated_objects,
)
from mmgcvit.errors import UserError

from .formats.made import write

ROOT = Path('/data')


def make_split(*objects, folder=ROOT):
    """Return a split of an image with these objects."""
    return ObjectSplit(folder, [ObjectImage('a.png', 1, (100, 100), objects)], [])


def make_object(x, y, width, height, **values):
    given = {'class_name': 'cat', 'area': width * height, **values}
    return LabelledObject(1, box=Box(x, y, width, height), **given)


def make_classes(names, split='val'):
    """Return a dataset with an image of each of these classes in a split, and of all in training."""
    splits = {}
    for split_name, own in (('train', ['cat', 'dog', 'cat', 'dog']), (split, names)):
        images = [ClassImage(f'{number}.png', 0, name) for number, name in enumerate(own)]
        splits[split_name] = ClassSplit(ROOT, images)
    return DatasetInfo(ROOT, 'made', ('classes',), ('cat', 'dog'), splits)


@pytest.mark.parametrize(('number', 'is_allowed'), [(10, True), (9, False)])
def test_a_tenth_of_the_images_may_be_left_out_and_no_more(number, is_allowed, tmp_path):
    for class_name in ('cat', 'dog'):
        for index in range(number):
            pixels = np.full((9, 9, 3), 20 * index + (class_name == 'cat'), np.uint8)
            write(tmp_path / class_name / f'{class_name}{index}.png', pixels)
        (tmp_path / class_name / f'{class_name}0.png').write_text('no picture')
    if is_allowed:
        assert len(read_folder(tmp_path).splits['train'].images) == 2 * number - 2
    else:
        with pytest.raises(UserError, match='leaves out at most a tenth'):
            read_folder(tmp_path)


@pytest.mark.parametrize(
    ('numbers', 'words'),
    [
        ({'cat': 10, 'dog': 10}, []),
        ({'cat': 10, 'dog': 9}, ['only 19 images']),
        ({'cat': 20, 'dog': 5}, []),
        ({'cat': 20, 'dog': 4}, ['few images of dog (4 images)']),
    ],
)
def test_a_split_of_20_images_and_5_of_each_class_is_scored_without_a_word(numbers, words):
    names = [name for name, number in numbers.items() for _ in range(number)]
    messages = [finding.message for finding in find_few_scored(make_classes(names))]
    assert len(messages) == len(words)
    assert all(word in message for word, message in zip(words, messages, strict=True))


@pytest.mark.parametrize('split', ['val', 'test'])
def test_test_images_without_annotations_lack_no_class(split):
    train = make_split(make_object(0, 0, 9, 9), make_object(0, 9, 9, 9))
    two = replace(train, images=[*train.images, *train.images])
    splits = {'train': two, split: make_split()}
    dataset = DatasetInfo(ROOT, 'made', ('boxes',), ('cat',), splits)
    found = [finding.message for finding in find_missing_classes(dataset)]
    assert bool(found) == (split == 'val')


@pytest.mark.parametrize(
    ('change', 'is_repeated'),
    [
        ({}, True),
        ({'is_ignored': True}, False),  # a crowd around the object
        ({'class_name': 'dog'}, False),
        ({'box': Box(10.04, 10, 20, 30)}, True),
        ({'box': Box(10.06, 10, 20, 30)}, False),
    ],
)
def test_an_object_is_repeated_if_all_that_is_trained_is_equal(change, is_repeated):
    one = make_object(10, 10, 20, 30)
    found = find_repeated_objects(make_split(one, replace(one, **change)), with_masks=False)
    assert [*found] == [(0, 1)] * is_repeated


@pytest.mark.parametrize(
    ('num_corners', 'num_others', 'is_found'), [(2, 1, True), (2, 2, False), (1, 0, True)]
)
def test_boxes_are_corners_if_most_of_them_are(num_corners, num_others, is_found):
    """The area says what they are."""
    corners = [make_object(10, 10 + n, 40, 50 + n, area=30 * 40) for n in range(num_corners)]
    others = [make_object(10, 10, 40 + n, 50) for n in range(num_others)]
    assert bool(find_corner_boxes(make_split(*corners, *others))) == is_found


def test_a_box_at_the_left_upper_corner_is_the_same_either_way():
    assert not find_corner_boxes(make_split(make_object(0, 0, 40, 50)))


@pytest.mark.parametrize('has_parts', [False, True])
def test_a_mask_of_several_parts_is_not_that_of_a_box(has_parts):
    square = [10, 10, 30, 10, 30, 40, 10, 40]
    mask = [square, [50, 50, 60, 50, 60, 60]] if has_parts else [square]
    split = make_split(make_object(10, 10, 20, 30, mask=mask))
    assert bool(find_box_masks({'train': split})) != has_parts


def test_a_copy_with_labels_of_somebody_is_read_whatever_its_place():
    images = [
        ClassImage('a.png', 0, 'cat', is_uncorrected=True),
        ClassImage('b.png', 0, 'cat'),
        ClassImage('c.png', 0, 'cat', is_uncorrected=True),
    ]
    contents = {ROOT / image.name: 'one' for image in images}
    found = find_copies({'train': ClassSplit(ROOT, images)}, contents, with_masks=False)
    assert sorted(found['train']) == [0, 2]


@pytest.mark.parametrize(
    ('example', 'split'),
    [
        ('/data/masks/val/a.png', 'val'),
        ('/data/masks/train/val.png', 'train'),
        ('/data/masks/val', ''),
        ('/data/test/a.png', ''),  # there is no such split
    ],
)
def test_a_file_counts_in_the_split_of_its_folder(example, split):
    assert find_split(example, make_classes(['cat'])) == split


@pytest.mark.parametrize('split', ['train', 'val'])
def test_a_split_that_has_lost_all_its_objects_is_empty_of_objects(split):
    full = make_split(make_object(0, 0, 9, 9))
    before = {'train': full, 'val': full}
    lacking = find_empty(before, {**before, split: make_split()})
    assert str(lacking) == f'object of {split}'
    assert find_empty({**before, split: make_split()}, {**before, split: make_split()}) is None
