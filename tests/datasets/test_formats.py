"""Errors in a dataset are reported with the cause."""

import itertools
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from mmgcvit.datasets.formats import read_folder
from mmgcvit.errors import UserError

from .checks.made import write_png
from .formats.made import HEIGHT, WIDTH, write, write_example


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
    monkeypatch.setattr('mmgcvit.datasets.formats.coco.parse_flag', fail)
    with pytest.raises(TypeError, match='a fault'):
        read_folder(tmp_path)


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
# The faults of each format: a change that makes the example invalid, and a part of the message.
FAULTS = {
    'yolo': [
        *(
            (write_file('labels/0.txt', f'\n{row}\n{row}'), f"labels/0.txt line 2 is '{row}'")
            for row in ('0 0.5 0.5 0.2', '0 nan .5 .2 .2', f'0 .5 .5 .4 .4{2 * " .4 .6 2"}')
        ),
        (remove('data.yaml'), "but no data.yaml. Write one with two lines: 'train: images' and"),
        (break_link, 'data.yaml is missing, or a link to a missing file'),
        (edit('data.yaml', 'images', 300 * 'a'), 'data.yaml: [Errno 36] File name too long'),
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
    [(name, *fault) for name, faults in FAULTS.items() for fault in faults],
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
