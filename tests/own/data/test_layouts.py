"""Each declared layout is tried, is on the page of layouts, and its rules on the page of rules."""

import numpy as np
import pytest

from docs.drawings import data_pages
from mmgcvit.errors import UserError
from mmgcvit.own.data.formats import FORMATS, read_folder

from .formats.made import LAYOUTS, write, write_example

PAIRS = [
    ('frames/{}.png', 'ground_truth/{}.png'),
    ('photos/ISIC_{}.jpg', 'maps/ISIC_{}_segmentation.png'),  # with an ending
    ('imgs/img_{}.jpg', 'gts/gt_{}.png'),  # with a beginning
    ('train/CameraRGB/{}.png', 'train/CameraSeg/{}.png'),
]


def test_each_declared_layout_has_an_example():
    """``test_formats_generated.py`` draws datasets of the examples; cellpose's are in the tests of maps."""
    declared = {
        layout.tools + (f' {layout.images}' if name == 'maps' else '')
        for name, data_format in FORMATS.items()
        for layout in data_format.LAYOUTS
        if not layout.endings
    }
    assert {tools for layouts in LAYOUTS.values() for tools in layouts} == declared


def test_the_pages_of_layouts_and_rules_are_those_of_the_lists():
    advice = 'run: python -m docs.drawings.data_pages'
    assert data_pages.LAYOUTS.read_text() == data_pages.render_layouts(), advice
    assert data_pages.RULES_PAGE.read_text() == data_pages.render_rules(), advice


@pytest.mark.parametrize('names', PAIRS)
def test_photos_and_their_maps_are_not_two_classes_unless_the_task_says_so(names, tmp_path):
    for number in range(12):
        for index, name in enumerate(names):
            pixels = np.full((8 + number, 9, 3), 20 * number + index, np.uint8)
            write(tmp_path / name.format(number), pixels)
    photo = tmp_path / names[0].format(0)
    photo.rename(photo.with_name('renamed.jpg'))
    with pytest.raises(UserError, match=r'11 of 12 images in .* call the folders images and masks'):
        read_folder(tmp_path)
    assert read_folder(tmp_path, 'classify').annotation_types == ('classes',)
    write(tmp_path / names[1].format(2), np.zeros((50, 50, 3), np.uint8))
    assert read_folder(tmp_path).annotation_types == ('classes',), 'maps have the size of photos'


def test_images_that_are_not_read_are_counted(tmp_path):
    """Those that no list of YOLO names, whose labels are no reason to refuse them."""
    write_example(tmp_path, 'yolo')
    write(tmp_path / 'data.yaml', 'train: train.txt\nnames: [disc, square]')
    write(tmp_path / 'train.txt', 'images/0.jpg\nimages/1.jpg\n')
    dataset = read_folder(tmp_path)
    assert len(dataset.splits['train'].image_names) == 2
    assert 'says what they show: 4 images' in str(dataset)
