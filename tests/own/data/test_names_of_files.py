"""A label file belongs to the image of its name, in its place and in any Unicode form; others are
named.

Modules: `mmgcvit/host/files.py`, `mmgcvit/own/data/layouts.py`, `mmgcvit/own/data/formats`.
"""

import unicodedata

import numpy as np
import pytest

from mmgcvit.errors import UserError
from mmgcvit.host.files import IMAGE_SUFFIXES, find_on_disk
from mmgcvit.own.data.formats import read_folder

from .formats.made import EXAMPLES, make_example, write

NUMBERS = {'train': 4, 'val': 2}
BOX = '0 0.5 0.5 0.2 0.2'


def write_accented(root, data_format):
    """Write an example whose images have the names 'é 0.jpg' and so on, in NFC."""
    numbers = {'train': 6} if data_format == 'yolo' else NUMBERS
    made = make_example(data_format, EXAMPLES[data_format], numbers, is_textured=True)
    for photo in (photo for photos in made.photos.values() for photo in photos):
        photo.stem = f'é {photo.stem}'
    made.write(root)


def describe(root, data_format):
    """Return the images, the objects and the classes of each split, without what is special to a
    Unicode form.
    """
    dataset = read_folder(root, 'semantic' if data_format == 'maps' else None)
    return {
        name: (
            [unicodedata.normalize('NFC', image) for image in split.image_names],
            split.list_classes(),
            all(path.is_file() for path in split.image_paths),
        )
        for name, split in dataset.splits.items()
    }


@pytest.mark.parametrize('data_format', [name for name in EXAMPLES if name != 'classes'])
def test_an_image_and_its_labels_have_one_name_in_two_unicode_forms(data_format, tmp_path):
    """macOS takes both forms for one name, and Linux does not: YOLO's images became background."""
    write_accented(tmp_path, data_format)
    expected = describe(tmp_path, data_format)
    for path in [*tmp_path.rglob('*')]:
        if path.suffix in IMAGE_SUFFIXES and 'labels' not in path.parts:
            path.rename(path.with_name(unicodedata.normalize('NFD', path.name)))
    assert describe(tmp_path, data_format) == expected


def test_a_class_folder_has_one_name_in_two_unicode_forms(tmp_path):
    for split, form in {'train': 'NFC', 'val': 'NFD'}.items():
        for index, name in enumerate(('é', 'o')):
            folder = tmp_path / split / unicodedata.normalize(form, name)
            grey = 40 * index + (20 if split == 'val' else 0)
            write(folder / f'{index}.png', np.full((64, 64, 3), grey, np.uint8))
    dataset = read_folder(tmp_path)
    assert [image.label for image in dataset.splits['val'].images] == [0, 1]
    assert dataset.classes == ('o', 'é')


def test_two_files_whose_names_differ_by_the_form_are_two_files(tmp_path):
    (tmp_path / 'ü').mkdir()
    for form in ('NFC', 'NFD'):
        name = unicodedata.normalize(form, 'é.txt')
        (tmp_path / 'ü' / name).touch()
        assert find_on_disk(tmp_path, f'ü/{name}') == f'ü/{name}'
    assert find_on_disk(tmp_path, unicodedata.normalize('NFD', 'ü/à.txt')) == 'u\u0308/a\u0300.txt'
    other = unicodedata.normalize('NFD', 'ü/') + unicodedata.normalize('NFC', 'é.txt')
    assert find_on_disk(tmp_path, other) == 'ü/é.txt'


def write_photos(root, paths):
    for index, path in enumerate(paths):
        write(root / path, np.full((64, 64, 3), index, np.uint8))


@pytest.mark.parametrize(
    ('image', 'label', 'expected'),
    [
        ('some/images/b', 'some/images/b', 'some/labels/b'),
        ('images/train/b', 'labels/b', 'labels/train/b'),
        ('train/b', 'annotations/b', 'train/b'),
    ],
)
def test_labels_in_another_place_than_yolos_are_asked_about(image, label, expected, tmp_path):
    """Half of the images were trained as background: their labels lay beside them in a folder
    images, for which YOLO has a folder labels.
    """
    write_photos(tmp_path, ['other/a.png', f'{image}.png'])
    write(tmp_path / 'data.yaml', f'train: [other, {image.rpartition("/")[0]}]\nnames: [bar]')
    write(tmp_path / 'other/a.txt', BOX)
    assert '1 image without a label file' in str(read_folder(tmp_path))
    write(tmp_path / f'{label}.txt', BOX)
    words = f'there is {tmp_path}/{label}.txt instead of {tmp_path}/{expected}.txt'
    with pytest.raises(UserError, match=words):
        read_folder(tmp_path)
    write(tmp_path / f'{expected}.txt', BOX)
    assert len(read_folder(tmp_path).splits['train'].objects) == 2


def test_labels_of_another_image_of_the_same_name_are_not_misplaced(tmp_path):
    """Images without objects in a folder of their own may have the names of others."""
    write_photos(tmp_path, ['images/dogs/1.png', 'images/none/1.png', 'images/unread/1.png'])
    write(tmp_path / 'data.yaml', 'train: [images/dogs, images/none]\nnames: [bar]')
    write(tmp_path / 'labels/dogs/1.txt', BOX)
    write(tmp_path / 'labels/unread/1.txt', BOX)
    assert len(read_folder(tmp_path).splits['train'].images) == 2


def test_a_label_file_whose_image_is_gone_is_not_that_of_an_image_elsewhere(tmp_path):
    write_photos(tmp_path, [f'images/one/{number}.png' for number in range(12)])
    write_photos(tmp_path, ['images/two/1.png', 'images/two/2.png'])
    write(tmp_path / 'data.yaml', 'train: [images/one, images/two]\nnames: [bar]')
    for name in [*(f'one/{number}' for number in range(12)), 'two/2']:
        write(tmp_path / f'labels/{name}.txt', BOX)
    (tmp_path / 'images/one/1.png').unlink()  # images/two/1.png is background
    assert 'files of YOLO with objects, but without an image' in str(read_folder(tmp_path))


def test_label_files_in_a_folder_without_images_are_named(tmp_path):
    write_photos(tmp_path, ['images/train/1.png'])
    write(tmp_path / 'data.yaml', 'train: images/train\nnames: [bar]')
    for name in ('train/1', 'test/2', 'test/3'):
        write(tmp_path / f'labels/{name}.txt', BOX)
    expected = 'no image has its labels there: 2 label files (labels/test/2.txt, labels/test/3.txt)'
    assert expected in str(read_folder(tmp_path))
