"""What splits write is what OpenMMLab's datasets read: lists of images, maps, and categories."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpretrain.datasets import CustomDataset

from mmgcvit.datasets.coco_categories import list_coco_categories, make_coco_categories
from mmgcvit.datasets.dataset_classes import PairedSegDataset
from mmgcvit.own.data.label_maps import PixelLabels
from mmgcvit.own.data.records import ClassImage, ClassSplit, MapImage, MapSplit

from .formats.made import STEMS

COCO_IDS = {category['name']: category['id'] for category in list_coco_categories()}
# Characters that str.strip removes, without those that end a line of a text file
BLANKS = [' ', '\t', '\x1c', '\xa0', '\u2003', '\u3000']


@pytest.mark.parametrize('stem', [*STEMS, *(f'{blank}a' for blank in BLANKS)])
def test_the_list_of_a_classifier_has_each_image_under_its_name(stem, tmp_path):
    """Also where it begins with a blank, which mmpretrain removes from a line."""
    images = [ClassImage(f'{stem}.png', 1, 'dog'), ClassImage(f'x/{stem}.png', 0, 'cat')]
    made = ClassSplit(tmp_path / 'images', images).write(tmp_path, 'train')
    dataset = CustomDataset(
        ann_file=made['train_list'],
        data_prefix=made['train_images'],
        metainfo={'classes': ['cat', 'dog']},
        lazy_init=True,
    )
    found = [(Path(each['img_path']), each['gt_label']) for each in dataset.load_data_list()]
    folder = tmp_path / 'images'
    assert found == [(folder / f'{stem}.png', 1), (folder / f'x/{stem}.png', 0)]


IDENTICAL = PixelLabels({0: 0, 1: 1, 255: 255})
REVERSED = PixelLabels({0: 1, 1: 0, 255: 255})


@pytest.mark.parametrize(
    'all_labels', [(IDENTICAL, IDENTICAL), (IDENTICAL, REVERSED), (REVERSED, IDENTICAL)]
)
def test_maps_are_read_with_class_indices_also_where_only_some_have_others(all_labels, tmp_path):
    """As in two folders with classes in another order."""
    pixels = np.array([[0, 1, 1], [0, 0, 255]], np.uint8)
    images = []
    expected = []
    for index, labels in enumerate(all_labels):
        cv2.imwrite(str(tmp_path / f'{index}.png'), pixels)
        images.append(MapImage(f'{index}.jpg', f'{index}.png', frozenset({'cat', 'dog'}), labels))
        expected.append(np.vectorize(labels.by_value.get)(pixels))
    made = MapSplit(tmp_path, images).write(tmp_path / 'made', 'train')
    dataset = PairedSegDataset(
        ann_file=made['train_list'],
        data_prefix={'img_path': made['train_images'], 'seg_map_path': made['train_labels']},
        metainfo={'classes': ['cat', 'dog']},
        lazy_init=True,
    )
    found = dataset.load_data_list()
    assert [Path(each['img_path']).name for each in found] == ['0.jpg', '1.jpg']
    for each, labels in zip(found, expected, strict=True):
        read = cv2.imread(each['seg_map_path'], cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(read, labels)


@settings(max_examples=20)
@given(names=st.permutations([*COCO_IDS]), change=st.sampled_from(['none', 'other', 'fewer']))
def test_only_cocos_80_classes_have_cocos_ids(names, change):
    """In any order, which stays. The ids of others are 1, 2, ..., also of 80."""
    expected = [COCO_IDS[name] for name in names]
    if change != 'none':
        names = names[1:] + ['another class'] * (change == 'other')
        expected = [*range(1, len(names) + 1)]
    categories = make_coco_categories(names)
    assert [category['name'] for category in categories] == names
    assert [category['id'] for category in categories] == expected
