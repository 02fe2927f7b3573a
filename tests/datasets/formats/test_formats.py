"""Each data format is detected and read; data with a fault are rejected with the file's name and what to do."""

import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmgcvit.datasets.formats import read_folder, write_annotations
from mmgcvit.datasets.formats.dataset_info import find_split
from mmgcvit.errors import UserError

from ...configs.own_data import BOXES, CLASSES, write_coco, write_folders, write_label_maps, write_voc, write_yolo

EXPECTED = {
    (str(number), name): [left, top, right - left, bottom - top]
    for number in range(6)
    for name, (left, top, right, bottom) in zip(CLASSES, BOXES, strict=True)
}


def objects_in(found):
    """The box of each object, by the names of its image and class."""
    objects = {}
    for split in found.splits.values():
        names = {each['id']: each['name'] for each in split.content['categories']}
        files = {each['id']: Path(each['file_name']) for each in split.content['images']}
        assert all((split.images / file).is_file() for file in files.values())
        for each in split.content['annotations']:
            assert each['area'] == pytest.approx(each['bbox'][2] * each['bbox'][3], abs=0.1)
            objects[files[each['image_id']].stem, names[each['category_id']]] = each['bbox']
    return objects


def from_roboflow(root):
    """COCO's format beside the images, with a category above the others, and ids from 0."""
    write_coco(root)
    for split, name in {'train': 'train', 'val': 'valid'}.items():
        content = json.loads((root / 'annotations' / f'{split}.json').read_text())
        for each in content['categories']:
            each['supercategory'] = 'things'
        for number, each in enumerate(content['annotations']):
            each['id'] = number
        content['categories'].insert(0, {'id': 0, 'name': 'things', 'supercategory': 'none'})
        shutil.move(root / split, root / name)
        (root / name / '_annotations.coco.json').write_text(json.dumps(content))
    shutil.rmtree(root / 'annotations')


def behind_links(root):
    write_coco(root)
    for split in ('train', 'val'):
        elsewhere = root.with_name(f'{root.name}_{split}')
        shutil.move(root / split, elsewhere)
        (root / split).symlink_to(elsewhere)


def yolo_of_roboflow(root):
    """Paths that begin outside of the folder."""
    write_yolo(root)
    (root / 'train').mkdir()
    for kind in ('images', 'labels'):
        shutil.move(root / kind, root / 'train' / kind)
    (root / 'data.yaml').write_text('train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [disc, square]\n')


def yolo_with_lists(root):
    """A list of files, names by their numbers, and a path that is not there."""
    write_yolo(root)
    (root / 'train.txt').write_text(''.join(f'images/{number}.jpg\n' for number in range(6)))
    (root / 'data.yaml').write_text('path: /content/photos\ntrain: train.txt\nnames: {0: disc, 1: square}\n')


def xml_beside_images(root):
    """Both in the folder itself, and smaller images of the same names in another."""
    write_voc(root)
    for folder in ('Annotations', 'JPEGImages'):
        for file in (root / folder).iterdir():
            shutil.move(file, root / file.name)
    for number in range(6):
        (root / 'small').mkdir(exist_ok=True)
        Image.new('RGB', (8, 6)).save(root / 'small' / f'{number}.jpg')
    shutil.rmtree(root / 'ImageSets')


@pytest.mark.parametrize(
    ('name', 'kind', 'write'),
    [
        *(('COCO', 'masks', write) for write in (write_coco, from_roboflow, behind_links)),
        *(('YOLO', 'boxes', write) for write in (write_yolo, yolo_of_roboflow, yolo_with_lists)),
        ('YOLO', 'masks', partial(write_yolo, outlines=True)),
        *(('Pascal VOC', 'boxes', write) for write in (write_voc, xml_beside_images)),
    ],
)
def test_every_format_is_read_as_the_same_objects_and_nothing_is_written(name, kind, write, tmp_path):
    root = tmp_path / 'data'
    write(root)
    before = sorted(root.rglob('*'))
    found = read_folder(root)
    has_val = 'val' in found.splits
    found.split_validation()
    sizes = {(i['width'], i['height']) for split in found.splits.values() for i in split.content['images']}
    assert sizes == {(96, 72)}
    assert (found.format.startswith(name), found.kinds[0], found.classes) == (True, kind, CLASSES)
    assert objects_in(found) == {key: pytest.approx(box, abs=0.02) for key, box in EXPECTED.items()}
    assert len(found.splits['val'].names) == (2 if has_val else 1)
    assert sorted(root.rglob('*')) == before


def test_difficult_objects_of_voc_are_crowds(tmp_path):
    write_voc(tmp_path)
    annotations = read_folder(tmp_path).splits['val'].content['annotations']
    assert [each['iscrowd'] for each in annotations] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ('write', 'stated', 'expected'),
    [(write_yolo, '', (72, 96)), (write_voc, '', (72, 96)), (write_voc, (96, 72), (96, 72))],
)
def test_sizes_are_those_after_exif_rotation_or_as_stated(write, stated, expected, tmp_path):
    write(tmp_path)
    for file in tmp_path.glob('*/*.jpg'):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(file).save(file, exif=exif)
    for file in tmp_path.rglob('*.xml') if stated else ():
        size = '<size><width>{}</width><height>{}</height></size>'.format(*stated)
        file.write_text(file.read_text().replace('<annotation>', f'<annotation>{size}'))
    image = read_folder(tmp_path).splits['train'].content['images'][0]
    assert (image['width'], image['height']) == expected


def write_images(root, names):
    """Small images of these names."""
    for name in names.split():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), name.endswith('.png'), np.uint8)).save(root / name)


@pytest.mark.parametrize(
    ('names', 'classes'),
    [
        ('train/cat/0.jpg train/dog/1.jpg val/cat/2.jpg', ('cat', 'dog')),
        ('cat/0.jpg dog/1.jpg predictions/0.jpg work_dirs/cat/vis/1.jpg', ('cat', 'dog')),
    ],
)
def test_folders_are_classes(names, classes, tmp_path):
    write_images(tmp_path, names)
    found = read_folder(tmp_path)
    assert (found.kinds, found.classes, len(found.splits['train'].names)) == (('classes',), classes, 2)


def test_segmentation_maps_are_found_by_the_names_of_images(tmp_path):
    write_label_maps(tmp_path / 'labelled')
    found = read_folder(tmp_path / 'labelled')
    assert (found.kinds, found.suffixes) == (('labels',), ('.jpg', '.png'))
    assert (found.classes, found.splits['val'].names) == (('class 0', 'class 1', 'class 2'), ['val/4', 'val/5'])
    (tmp_path / 'labelled' / 'classes.txt').write_text('background\ndisc\nsquare\n')
    assert read_folder(tmp_path / 'labelled').classes == ('background', *CLASSES)
    for names in ('img_dir/{}.jpg ann_dir/{}.png', 'JPEGImages/{}.jpg SegmentationClass/{}.png'):
        root = tmp_path / names[:3]
        write_images(root, ' '.join(names.format(each, each) for each in ('train/0', 'train/1', 'val/2')))
        assert read_folder(root).kinds == ('labels',)


def test_categories_in_another_order_are_written_anew(tmp_path):
    write_coco(tmp_path / 'data')
    file = tmp_path / 'data' / 'annotations' / 'val.json'
    content = json.loads(file.read_text())
    content['categories'].reverse()
    file.write_text(json.dumps(content))
    found = read_folder(tmp_path / 'data')
    write_annotations(found, tmp_path / 'made')
    assert found.splits['train'].file.parent == file.parent
    written = json.loads(found.splits['val'].file.read_text())
    assert found.splits['val'].file.parent == tmp_path / 'made'
    assert tuple(each['name'] for each in written['categories']) == CLASSES


def test_validation_images_are_the_same_each_time(tmp_path):
    chosen = []
    for number in (40, 40, 44, 1):
        root = tmp_path / str(len(chosen))
        write_images(root, ' '.join(f'images/{i}.jpg labels/{i}.png' for i in range(number)))
        found = read_folder(root)
        if number == 1:
            with pytest.raises(UserError, match='too few to validate'):
                found.split_validation()
            break
        found.split_validation()
        assert not {*found.splits['train'].names} & {*found.splits['val'].names}
        chosen.append({*found.splits['val'].names})
    first, again, more = chosen
    assert (len(first), first == again, len(first - more) <= 3) == (8, True, True)


def test_copies_of_an_image_by_roboflow_stay_together(tmp_path):
    write_images(tmp_path, ' '.join(f'{i % 2}/{i}_jpg.rf.{copy}.jpg' for i in range(6) for copy in 'abc'))
    found = read_folder(tmp_path)
    found.split_validation()
    train, val = ({name.split('.rf.')[0] for name in found.splits[split].names} for split in ('train', 'val'))
    assert (len(train | val), train & val) == (6, set())


def write_file(file, content):
    return lambda root: (root / file).write_text(content)


def remove(*names):
    return lambda root: [(shutil.rmtree if (root / name).is_dir() else Path.unlink)(root / name) for name in names]


def label_map(pixels):
    return lambda root: [Image.fromarray(np.array(pixels, np.uint8)).save(each) for each in root.rglob('*.png')]


# What writes the data, what is changed, and a part of the error.
FAULTS = [
    (write_yolo, write_file('labels/0.txt', '0 0.5 0.5 0.2\n'), "line 1 is '0 0.5 0.5 0.2'; expected CLASS X Y"),
    (write_yolo, write_file('labels/0.txt', '\n2 .5 .5 .2 .2\n'), 'labels/0.txt line 2 is '),
    (write_yolo, write_file('labels/0.txt', '0 48 36 20 20\n'), 'fractions of width and height, not pixels'),
    (write_yolo, remove('data.yaml'), 'but no data.yaml; expected one with train: images and names'),
    (write_yolo, remove('labels'), 'no image of train has a label file; expected '),
    (write_yolo, write_file('data.yaml', 'train: images\nnc: 3\nnames: [a, b]\n'), "names is ['a', 'b'], nc is 3"),
    (write_yolo, write_file('data.yaml', 'train: images\nnames: [yes, no]\n'), 'yes, no and null in quotes'),
    (
        write_yolo,
        write_file('data.yaml', 'train: pictures\nnames: [a, b]\n'),
        'the images pictures are not in ',
    ),
    (write_yolo, write_file('data.yaml', 'names: [disc, square]\n'), 'names no training images'),
    (write_yolo, write_file('data.yaml', 'train: [\n'), 'data.yaml is not valid YAML'),
    (write_yolo, write_file('images/0.jpg', 'text'), 'images/0.jpg cannot be read'),
    (write_yolo, write_voc, 'holds several formats, data.yaml, Annotations/0.xml: move all but one'),
    (write_voc, write_file('Annotations/0.xml', '<annotation>'), 'Annotations/0.xml cannot be parsed as XML'),
    (write_voc, write_file('Annotations/0.xml', '<annotation><object/></annotation>'), "object 1 has the name ''"),
    (write_voc, remove('JPEGImages/0.jpg'), 'Annotations/0.xml: there is no image of its name in'),
    (write_voc, write_file('ImageSets/Main/train.txt', 'a\n'), 'no XML file in it has Pascal VOC annotations'),
    (write_coco, remove('train'), 'train.json names no images in'),
    (write_coco, lambda root: shutil.copy(root / 'annotations/train.json', root), 'has the COCO annotations'),
    (write_label_maps, label_map([[0, 255]]), 'have the labels [0], for the classes class 0; expected 0 for the first'),
    (write_label_maps, label_map([[[0, 1, 2]]]), 'is RGB; expected one channel'),
    (write_label_maps, remove('labels/val/5.png'), 'without a segmentation map of their name: images/val/5.jpg'),
    (write_label_maps, write_file('classes.txt', 'background\ndisc\n'), 'labels [0, 1, 2], for the classes background'),
    (write_folders, lambda root: (root / 'val/disc').rename(root / 'val/a'), 'val has folders of no class of train'),
    (write_folders, write_file('train/disc/a.csv', 'a'), 'a.csv, which are not annotations of a known format'),
]


@pytest.mark.parametrize(('write', 'change', 'words'), FAULTS)
def test_data_with_a_fault_are_rejected_with_what_is_missing(write, change, words, tmp_path):
    root = tmp_path / 'data'
    write(root)
    change(root)
    with pytest.raises(UserError, match=re.escape(words)):
        read_folder(root)


def test_splits_are_whole_words():
    paths = ('train2017/a', 'a/instances_val2017.json', 'valid/_annotations.coco.json', 'Test', 'trains', 'contest')
    assert [find_split(Path(path)) for path in paths] == ['train', 'val', 'val', 'test', None, None]
