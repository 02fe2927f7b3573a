"""The table of folders that no format reads: each changes a valid dataset, and says in which words
it is rejected.

Beside it, ``mutations.py`` has the faults of images and objects in folders that are read: what breaks
a rule. Both change the datasets of the generator that knows the truth (``formats/made.py``).
"""

import itertools
import re
import shutil

import numpy as np
from PIL import Image

from ...datasets.checks.made import write_png
from .formats.made import HEIGHT, WIDTH, write

TASKS = {'maps': 'semantic', 'classes': 'classify'}  # which must be said of some datasets


def write_file(file, content):
    return lambda root: write(root / file, content)


def write_labels(values, shape=(HEIGHT, WIDTH)):
    """Return a function that fills all segmentation maps with values, repeated."""
    labels = np.resize(np.uint8(values), shape)
    return lambda root: [write(path, labels) for path in root.rglob('*.png')]


def remove(name):
    return lambda root: shutil.move(root / name, root.parent)


def copy(name, new):
    return lambda root: (shutil.copytree if (root / name).is_dir() else shutil.copy)(
        root / name, root / new
    )


def edit(pattern, old, new):
    """Return a function that replaces a text in all files of a pattern."""
    return lambda root: [
        path.write_text(re.sub(old, new, path.read_text(), count=1)) for path in root.rglob(pattern)
    ]


def move_into_export(root):
    root.rename(root.with_name('export'))
    root.mkdir()
    root.with_name('export').rename(root / 'export')


def break_link(root):
    (root / 'data.yaml').unlink()
    (root / 'data.yaml').symlink_to('missing')


def write_white_for_val(root):
    write_labels([0, 1])(root)
    write_labels([0, 255])(root / 'labels' / 'val')


def write_background_with_table(root):
    write_labels([0])(root)
    write(root / '_classes.csv', '0, one')


def spoil_val(root):
    """Move images and XML files into folders of splits, without the XML files of ``val``."""
    for path in [*root.rglob('*.jpg'), *root.rglob('*.xml')]:
        path.rename(root / path.name)
    for split, stems in {'train': '0123', 'val': '45'}.items():
        (root / split).mkdir()
        for path in root.glob(f'[{stems}].*'):
            path.rename(root / split / path.name)
    for path in root.glob('val/*.xml'):
        path.unlink()


def write_4_bits(root):
    for path in root.rglob('*.png'):
        write_png(path, WIDTH, HEIGHT, bits=4, colour_type=0, data=HEIGHT * bytes(1 + WIDTH // 2))


def leave_test_file(root):
    (root / 'annotations' / 'train.json').unlink()
    (root / 'annotations' / 'val.json').rename(root / 'test.json')


def save_maps_as_jpeg(root):
    for path in root.rglob('*.png'):
        Image.open(path).save(path.with_suffix('.jpg'))
        path.unlink()


def put_jpeg_maps_beside(root):
    save_maps_as_jpeg(root)
    for split in ('train', 'val'):
        (root / 'images' / split).rename(root / split)
        for path in (root / 'labels' / split).iterdir():
            path.rename(root / split / f'{path.stem}_masks.jpg')
    shutil.rmtree(root / 'labels')


def rename_maps(root):
    for path in root.rglob('*.png'):
        path.rename(path.with_stem(f'x{path.stem}'))


def move_image_out(root):
    edit('*.json', '0.jpg', '../../0.jpg')(root)
    (root / 'train' / '0.jpg').rename(root.parent / '0.jpg')


ENTITIES = ''.join(
    f'<!ENTITY {name} "{10 * f"&{before};"}">' for before, name in itertools.pairwise('abcdefghi')
)
BOMB = f'<!DOCTYPE a [<!ENTITY a "{10 * "a"}">{ENTITIES}]><annotation><object><name>&i;</name></object></annotation>'
# For each format: a change after which its example fits no layout, and a part of the message.
MISFITS = {
    'yolo': [
        *(
            (write_file('labels/0.txt', f'\n{row}\n{row}'), f"labels/0.txt line 2 is '{row}'")
            for row in ('0 0.5 0.5 0.2', '0 nan .5 .2 .2', f'0 .5 .5 .4 .4{2 * " .4 .6 2"}')
        ),
        (remove('data.yaml'), "but no data.yaml. Write one with two lines: 'train: images' and"),
        (break_link, 'data.yaml is missing, or a link to a missing file'),
        (edit('data.yaml', 'images', 300 * 'a'), f'names {300 * "a"}, which does not exist in '),
        (edit('data.yaml', '^', f'path: {300 * "a"}\n'), f"'path' is {300 * 'a'}, and there is no"),
        (remove('labels'), 'no image of train has a label file. Expected '),
        (edit('data.yaml', 'nc: 2', 'nc: 3'), "'names' is ['disc', 'square'], and 'nc' is 3"),
        (edit('data.yaml', 'images', 'pictures'), 'names pictures, which does not exist in '),
        (edit('data.yaml', 'train: images', ''), 'names no folder of training images'),
        (edit('data.yaml', 'images', 'labels'), 'names labels, which contains no images'),
        (edit('data.yaml', '^', 'path: /other/machine\n'), 'Remove the line if the other paths'),
        (edit('data.yaml', '^', f'a: {10000 * "["}\n'), 'aliases or deep nesting'),
        (edit('data.yaml', '^', 'a: &a [1]\nb: [*a]\n'), 'aliases or deep nesting'),
        (edit('data.yaml', '^', 'training: images\n'), 'several keys for train'),
        (edit('data.yaml', 'square', "''"), "the class '', with"),
        (edit('data.yaml', '(?s).*', '- train'), 'has no keys'),
        (edit('data.yaml', '^', 'kpt_shape: [17, 3]\n'), 'keypoints (kpt_shape) are not supported'),
        (copy('data.yaml', 'dataset.yaml'), 'dataset.yaml describe a dataset each'),
        (copy('images/0.jpg', 'images/0.png'), 'labels/0.txt with another image. Rename one'),
        (
            edit('data.yaml', 'nc: 2', 'val: images\nnc: 2'),
            'all training images are also in validation or test',
        ),
    ],
    'voc': [
        (
            write_file('Annotations/0.xml', '<annotation><object/><object/></annotation>'),
            "object 1 has the name ''",
        ),
        (
            edit('*.xml', '</xmax>', 'e999</xmax>'),
            "'40e999', '42'], difficult '0'). Expected a name",
        ),
        (edit('*.xml', '(?s).*', BOMB), 'amplification'),
        (edit('*.xml', '(?s).*', 20_000 * '<annotation>'), 'cannot be parsed as XML'),
        (
            write_file('ImageSets/Main/train.txt', 'a\n'),
            'that name no XML file or map (train.txt: ',
        ),
        (
            write_file('ImageSets/Main/train.txt', '0.jpg\nJPEGImages/1\n2.xml\n3\n'),
            "train.txt: '0.jpg', train.txt: 'JPEGImages/1', train.txt: '2.xml'). Write names "
            'without folder and suffix',
        ),
        (
            write_file('ImageSets/Main/test.txt', '0.jpg\n'),
            "that name no XML file or map (test.txt: '0.jpg')",
        ),
        (write_file('other/9.xml', '<annotation/>'), 'XML files other/9.xml are not where'),
        (remove('JPEGImages'), 'no image has an XML file of its name'),
        (spoil_val, 'has no image of val. Add some, or remove the split'),
        (copy('JPEGImages', 'images'), 'fits several layouts (VOC2012'),
    ],
    'coco': [
        (remove('val'), 'none of the images that annotations/val.json lists (4.jpg, 5.jpg) is in '),
        (lambda root: (root / 'annotations').rename(root / 'labels'), 'in none of the places'),
        (leave_test_file, 'there is test.json, but no file for training'),
        (write_file('train.json', '{'), 'train.json: is not an annotation file'),
        (copy('annotations/train.json', 'annotations/Train.json'), 'two COCO files for train'),
        (copy('annotations/train.json', 'annotations/instances_train.json'), 'several layouts'),
        (write_file('annotations/val.json', '{'), 'not valid JSON in UTF-8'),
        (write_file('annotations/test.json', '{'), 'not valid JSON in UTF-8'),
        (write_file('annotations/trainval.json', '{'), 'trainval.json: is not an annotation file'),
        (write_file('annotations/val.json', '{"images": []}'), 'no annotations'),
        (move_image_out, 'lists images outside of'),
        (edit('*.json', '"0.jpg', r'"\\u0000/0.jpg'), 'images that cannot be read'),
        (edit('*.json', '"0.jpg', '"/data/0.jpg'), 'lists images outside of'),
        (write_file('data.yaml', 'train: train\nnames: [a, b]'), 'fits several layouts ('),
    ],
    'maps': [
        (write_labels([0, 255]), 'have the values 0, 255, and the classes are class 0. Expected 0'),
        (write_labels([0, 1, 2], (HEIGHT, WIDTH, 3)), 'has the mode RGB. A semantic map must'),
        (write_labels([255]), '.png has no labelled pixel: all are 255'),
        (write_4_bits, 'is grey with 2 or 4 bits'),
        (write_background_with_table, 'the values 0, and the classes are one. Expected'),
        (write_labels([0, 9]), 'name all classes in classes.txt'),
        (
            write_white_for_val,
            'val/4.png has 255 and no 1, but labels/train/0.png has 1 and no 255',
        ),
        (write_file('classes.txt', 256 * 'a\n'), 'has 256 classes of pixels'),
        (write_file('classes.txt', 'background\ndisc\n'), 'values 0, 1, 2, and the classes are'),
        (write_file('classes.txt', '1 cat\n2 dog\n3 cow\n'), 'has numbers before the names: 1 cat'),
        (write_file('classes.txt', '2 a\n1 b\n0 c\n'), 'has numbers before the names: 2 a'),
        (write_file('classes.txt', 'a\n__ignore__\nb\n'), 'has __ignore__ in line 2'),
        (rename_maps, 'no image has a map of its name'),
        (copy('labels', 'masks'), 'fits several layouts (Ultralytics and Kaggle'),
        (move_into_export, 'or pass the folder of the dataset, such as '),
        (put_jpeg_maps_beside, 'are not PNG, BMP or TIFF files. Save them as PNG'),
        (save_maps_as_jpeg, 'are not PNG, BMP or TIFF files. Save them as PNG'),
    ],
    'classes': [
        (copy('train', 'training'), 'folders train, training, val stand for one split'),
        (copy('train/disc', 'cat'), 'the folders cat, train, val are splits and others'),
        (
            write_file('train/disc/a.csv', 'a'),
            'not annotations of a known format: train/disc/a.csv',
        ),
        (copy('train/disc', 'train/disc '), 'equal but for case, blanks'),
        (copy('train/disc', 'train/disc/new'), 'are below the folders of classes. Move them up'),
        (remove('train/disc'), 'for training only the class folder square'),
        (remove('train'), 'has class folders for val, but none for training'),
    ],
}
