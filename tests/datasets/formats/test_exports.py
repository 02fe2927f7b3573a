"""Data as tools and archives write them: what they mean is read, and what says nothing of classes makes none."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from mmgcvit.datasets.formats import read_folder, write_annotations
from mmgcvit.errors import UserError

LINE = '0 0.5 0.5 0.5 0.5\n'


def data(root, names, **files):
    """Small images of these names, and files of these texts, their names with spaces for slashes."""
    for name in names.split():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), name.endswith('.png'), np.uint8)).save(path)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def coco(*images, categories=('a', 'b'), first=0, boxed=(), **category):
    """An annotation file's text: in each image an object of the last category, of some only a box."""
    outline = [[1, 1, 5, 1, 5, 5]]
    return json.dumps(
        {
            'images': [{'id': i, 'file_name': name, 'width': 8, 'height': 8} for i, name in enumerate(images)],
            'categories': [{'id': i, 'name': name, **category} for i, name in enumerate(categories)],
            'annotations': [
                {'id': i + first, 'image_id': i, 'category_id': len(categories) - 1, 'bbox': [1, 1, 4, 4], 'area': 8}
                | ({} if i in boxed else {'segmentation': outline})
                for i in range(len(images))
            ],
        }
    )


CLASSIFIED = {
    'training_set/cats/0.jpg training_set/dogs/1.jpg test_set/cats/2.jpg': ('cats', 'dogs'),
    'seg_train/seg_train/sea/0.jpg seg_train/seg_train/ice/1.jpg seg_test/seg_test/ice/2.jpg': ('ice', 'sea'),
    'train/mask/0.jpg train/no_mask/1.jpg val/mask/2.jpg': ('mask', 'no_mask'),
    'cat/0.jpg dog/1.jpg predictions/0.jpg work_dirs/cat/vis/1.jpg': ('cat', 'dog'),
    'train_station/0.jpg test_tube/1.jpg': ('test_tube', 'train_station'),
}
# Images, other files, and what is said.
NO_CLASSES = [
    ('train/0.jpg valid/1.jpg', {'train/_annotations.csv': 'a', 'valid/_annotations.csv': 'a'}, 'tables are not read'),
    ('one/0.jpg two/1.jpg', {'one/0.json': '{"shapes": []}'}, 'one/0.json, which has no images, annotations'),
    ('train/0.jpg valid/1.jpg', {}, 'nothing that says what is on them'),
    ('images/0.jpg masks/0_mask.png', {}, 'nothing that says what is on them'),
    ('JPEGImages/0.jpg SegmentationObject/0.png', {}, 'JPEGImages as in Pascal VOC, but no'),
    ('cat/0.jpg', {'classes.txt': 'cat', 'cat/0.heic': ''}, 'labels/a.txt for images/a.jpg'),
]


def test_classes_are_folders_that_are_called_as_nothing_else(tmp_path):
    for number, (names, classes) in enumerate(CLASSIFIED.items()):
        data(tmp_path / f'c{number}', names)
        found = read_folder(tmp_path / f'c{number}')
        assert (found.kinds, found.classes, len(found.splits['train'].names)) == (('classes',), classes, 2), names
    wrong = []
    for number, (names, files, words) in enumerate(NO_CLASSES):
        data(tmp_path / f'n{number}', names, **files)
        try:
            wrong.append(f'{names}: taken as {read_folder(tmp_path / f"n{number}")}')
        except UserError as error:
            wrong += [] if re.search(words, str(error)) else [f'{names}: {error}, expected {words}']
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('names', ['img_dir/{}.jpg ann_dir/{}.png', 'JPEGImages/{}.jpg SegmentationClass/{}.png'])
def test_labels_for_each_pixel_in_folders_of_other_names(tmp_path, names):
    data(tmp_path, ' '.join(names.format(each, each) for each in ('train/0', 'train/1', 'val/2')))
    assert read_folder(tmp_path).kinds == ('labels',)
    # Of one bit, which loading gives as 0 and 1.
    for file in tmp_path.rglob('*.png'):
        Image.fromarray(np.eye(8, dtype=bool)).save(file)
    assert read_folder(tmp_path).classes == ('class 0', 'class 1')
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(next(iter(tmp_path.rglob('*.jpg'))).with_suffix('.JPG'))
    with pytest.raises(UserError, match=r'without a segmentation map|several suffixes'):
        read_folder(tmp_path)


def test_coco_is_written_anew_where_hosts_would_not_read_it(tmp_path):
    above = {'supercategory': 'ball'}
    layouts = {
        'roboflow': (coco('0.jpg', '1.jpg'), coco('2.jpg')),
        'order': (coco('0.jpg', '1.jpg', first=1), coco('2.jpg', categories=('b', 'a'), first=1)),
        'windows': (coco('x\\0.jpg', 'x\\1.jpg', first=1), coco('x\\2.jpg', first=1)),
        'above': (
            coco('0.jpg', '1.jpg', categories=('ball', 'ball'), **above),
            coco('2.jpg', categories=('ball', 'ball'), **above),
        ),
    }
    for name, (train, val) in layouts.items():
        root, made = tmp_path / name, tmp_path / f'{name}_made'
        images = 'x/0.jpg x/1.jpg x/2.jpg'
        data(root, images, **{'annotations/train.json': train, 'annotations/val.json': val})
        made.mkdir()
        found = read_folder(root)
        write_annotations(found, made)
        for part in found.splits.values():
            content = json.loads(part.file.read_text())
            called = {each['id']: each['name'] for each in content['categories']}
            objects = content['annotations']
            assert tuple(called.values()) == found.classes, name
            assert all(each['id'] and each['iscrowd'] == 0 for each in objects), name
            assert all((part.images / each['file_name']).is_file() for each in content['images']), name
        last = 'ball' if name == 'above' else 'a' if name == 'order' else 'b'
        assert {called[each['category_id']] for each in objects} == {last}, name
    assert (root / 'annotations' / 'train.json').read_text() == train


def test_what_coco_file_is_meant(tmp_path):
    inner = tmp_path / 'test project'
    data(inner, 'a/0.jpg', **{'annotations/train.json': coco('0.jpg'), 'mkdocs.yml': 'a: !!python/name:x.y'})
    assert [*read_folder(inner).splits] == [*read_folder(tmp_path).splits] == ['train']
    yolo = {'data.yaml': 'train: images/train\nnames: [a]\n', 'labels/train/0.txt': LINE}
    data(tmp_path / 'yolo', 'images/train/0.jpg', **yolo, **{'annotations/instances_val2017.json': coco('0.jpg')})
    assert read_folder(tmp_path / 'yolo').format == 'YOLO (data.yaml)'
    tasks = {f'task{each}/annotations/instances_default.json': coco(f'{each}.jpg') for each in '12'}
    data(tmp_path / 'cvat', 'task1/images/1.jpg task2/images/2.jpg', **tasks)
    with pytest.raises(UserError, match=r'or name one of the folders'):
        read_folder(tmp_path / 'cvat')


def test_one_note_says_that_not_all_objects_have_outlines(tmp_path):
    data(tmp_path / 'coco', '0.jpg 1.jpg', **{'a.json': coco('0.jpg', '1.jpg', boxed=[1])})
    lines = {'classes.txt': 'a', '0.txt': LINE, '1.txt': '0 .1 .1 .5 .1 .5 .5\n'}
    data(tmp_path / 'yolo', '0.jpg 1.jpg', **lines)
    notes = [read_folder(tmp_path / name).notes for name in ('coco', 'yolo')]
    assert notes[0] == notes[1] == ['1 of 2 objects have no outline: boxes are learned of all']


def test_no_image_both_trains_and_validates(tmp_path):
    names = ' '.join(f'images/{part}/{number}.jpg' for part in ('train', 'val') for number in range(2))
    lines = {name.replace('images', 'labels').replace('jpg', 'txt'): LINE for name in names.split()}
    for yaml, counts in (('train: images\nval: images/val', (2, 2)), ('train: images\nval: images', (3, 1))):
        data(tmp_path / 'yolo', names, **lines, **{'data.yaml': f'{yaml}\nnames: [a]\n'})
        found = read_folder(tmp_path / 'yolo')
        assert re.search(
            '(in val too: they are not trained on|val has the images of train: it is not used)', str(found)
        )
        found.split_validation()
        assert tuple(len(found.splits[part].names) for part in ('train', 'val')) == counts
        assert not {*found.splits['train'].get_paths()} & {*found.splits['val'].get_paths()}
    files = {'train.json': coco('0.jpg', '1.jpg', first=1), 'val.json': coco('1.jpg', first=1)}
    data(tmp_path / 'coco', 'x/0.jpg x/1.jpg', **files)
    assert read_folder(tmp_path / 'coco').splits['train'].names == ['0.jpg']


def test_copies_of_an_image_stay_together(tmp_path):
    names = [f'train/images/{image}_jpg.rf.{copy}.jpg' for image in range(6) for copy in 'abc']
    lines = {name.replace('images', 'labels').replace('.jpg', '.txt'): LINE for name in names}
    data(tmp_path, ' '.join(names), **lines, **{'classes.txt': 'a'})
    found = read_folder(tmp_path)
    found.split_validation()
    train, val = ({name.split('.rf.')[0] for name in found.splits[part].names} for part in ('train', 'val'))
    assert (len(train | val), train & val) == (6, set())


def test_images_of_a_kind_that_is_not_read_are_to_be_converted(tmp_path):
    data(tmp_path, '', **{'0.heic': '', '0.txt': LINE, 'classes.txt': 'a'})
    with pytest.raises(UserError, match=r'0\.heic: images of this kind are not read here; convert it to JPEG'):
        read_folder(tmp_path)
