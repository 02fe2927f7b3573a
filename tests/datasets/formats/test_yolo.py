"""YOLO's layout as tools write it, with paths of other machines and without what they name."""

import re
import shutil

import pytest

from mmgcvit.datasets.formats import read_folder
from mmgcvit.errors import UserError

from ...configs.own_data import write_picture

LINE = '0 0.5 0.5 0.2 0.2\n'
PARTS = {'train': range(4), 'val': range(4, 6)}
IN_PARTS = 'train: ../train/images\nval: ../val/images\nnames: {0: cat}\n'
SETTINGS = 'train: images/train\nval: images/val\nnames: [cat]\n'


def write(root, settings=SETTINGS, labels='labels/{part}/{number}.txt', images='images/{part}/{number}.jpg'):
    for part, numbers in PARTS.items():
        for number in numbers:
            write_picture(root / images.format(part=part, number=number), number)
            file = root / labels.format(part=part, number=number)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(LINE)
    if settings:
        (root / 'data.yaml').write_text(settings)


def counts(root):
    found = read_folder(root)
    assert all((part.images / name).is_file() for part in found.splits.values() for name in part.names)
    return {name: (len(part.names), len(part.content['annotations'])) for name, part in found.splits.items()}, ' '.join(
        found.notes
    )


def listed(root):
    """Lists with the folders of another machine, and images by themselves; the file is called otherwise."""
    (root / 'train.txt').write_text(
        '\ufeff' + ''.join(f'data/images/train/{number}.jpg\n' for number in PARTS['train'])
    )
    (root / 'data.yaml').unlink()
    (root / 'set.yaml').write_text('train: /darknet/data/train.txt\nval: [images/val/4.jpg, images/val/5.jpg]\nnc: 1\n')


def beside_another(root):
    """Of another data set above there is as much, which the file means by its words alone."""
    shutil.copytree(root / 'images', root.parent / 'images')


BOTH = {'train': (4, 4), 'val': (2, 2)}
# Words of the arguments, what is done then, how many images and objects each part has, and words of the notes.
MEANT = [
    ({'settings': 'path: /content/photos\n' + SETTINGS}, None, BOTH, '^$'),
    ({'settings': SETTINGS.replace('images/', 'photos-1/images/')}, None, BOTH, '^$'),
    ({'settings': SETTINGS.replace('images/', 'C:\\photos\\images\\')}, None, BOTH, '^$'),
    ({'settings': SETTINGS.replace('train:', 'Train:').replace('names: [cat]', 'NAMES: {"0": cat}')}, None, BOTH, '^$'),
    ({}, listed, BOTH, '^$'),
    # As Roboflow writes it.
    (
        {'settings': IN_PARTS, 'images': '{part}/images/{number}.jpg', 'labels': '{part}/labels/{number}.txt'},
        None,
        BOTH,
        '^$',
    ),
    ({'settings': SETTINGS.replace('images/', '../images/')}, beside_another, BOTH, '^$'),
    (
        {'settings': SETTINGS + 'test: ../test/images\n'},
        None,
        BOTH,
        'test is ../test/images, but there is no .*left out',
    ),
    (
        {'settings': SETTINGS + 'test: images/test\n'},
        lambda root: write_picture(root / 'images/test/9.jpg', 9),
        BOTH,
        'test: no image has a label file',
    ),
    (
        {'settings': SETTINGS.replace('images/val', '../valid/images')},
        None,
        {'train': (4, 4)},
        'val is ../valid/images, but there is no',
    ),
    ({}, lambda root: shutil.rmtree(root / 'images/val'), {'train': (4, 4)}, 'val is images/val, but there is no'),
    (
        {},
        lambda root: [(root / 'labels' / name).unlink() for name in ('train/0.txt', 'val/4.txt')],
        {'train': (4, 3), 'val': (2, 1)},
        'train: 1 image without .* training skips val: 1 image without a label file: no objects$',
    ),
    ({'labels': 'images/{part}/{number}.txt'}, None, BOTH, '^$'),
    (
        {'images': 'Images/{part}/{number}.jpg', 'labels': 'Labels/{part}/{number}.txt', 'settings': ''},
        None,
        BOTH,
        '^$',
    ),
    ({'labels': 'images/{part}/{number}.txt', 'settings': ''}, None, BOTH, '^$'),
    ({}, lambda root: (root / 'labels/train/0.txt').write_text('\ufeff' + LINE), BOTH, '^$'),
]


def test_what_tools_write_is_read_as_it_is_meant(tmp_path):
    wrong = []
    for number, (arguments, change, expected, words) in enumerate(MEANT):
        # Below a folder whose name means something of YOLO's.
        root = tmp_path / f'{number}' / 'images' / 'photos'
        write(root, **arguments)
        if not (root / 'data.yaml').is_file():
            (root / 'classes.txt').write_bytes('\ufeffcat\r\n'.encode())
        if change:
            change(root)
        try:
            found, notes = counts(root)
            if found != expected or not re.search(words, notes):
                wrong.append(f'{number}: {found}, {notes}')
        except UserError as error:
            wrong.append(f'{number}: {error}')
    assert not wrong, '\n'.join(wrong)


def test_names_are_those_that_are_meant(tmp_path):
    write(tmp_path)
    for names, words in {
        '[yes, no]': 'names has yes, no or null, which YAML does not read as text; put them in quotes',
        '[cat, cat]': 'two classes have the same name (cat, cat); give each a name of its own',
        '{a: cat}': 'names has the keys a; expected 0 to 0',
        '{0: cat, "0": dog}': 'names has the keys 0, 0; expected 0 to 1',
    }.items():
        (tmp_path / 'data.yaml').write_text(SETTINGS.replace('[cat]', names))
        with pytest.raises(UserError, match=re.escape(words)):
            read_folder(tmp_path)
    (tmp_path / 'data.yaml').write_text(SETTINGS.replace('[cat]', '{"1": "yes", "0": 7}'))
    assert read_folder(tmp_path).classes == ('7', 'yes')
    (tmp_path / 'data.yaml').unlink()
    (tmp_path / 'classes.txt').write_text('Bär\n', encoding='latin-1')
    with pytest.raises(UserError, match=r'classes.txt is not valid UTF-8'):
        read_folder(tmp_path)


def test_images_of_one_part_are_not_taken_for_another(tmp_path):
    """A folder that is named with its part and is not there: that above it has the images of all."""
    write(tmp_path, SETTINGS.replace('images/train', '../train/images'))
    with pytest.raises(UserError, match=r'train is ../train/images, but there is no .*/train/images'):
        read_folder(tmp_path)
