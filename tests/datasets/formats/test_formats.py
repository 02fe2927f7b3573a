"""Each dataset format is detected and read. Errors in a dataset are reported with the file name and a remedy."""

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


def collect_boxes(dataset):
    """Return the box of each object by (image name, class name)."""
    boxes = {}
    for split in dataset.splits.values():
        names = {category['id']: category['name'] for category in split.content['categories']}
        files = {image['id']: Path(image['file_name']) for image in split.content['images']}
        assert all((split.image_folder / file).is_file() for file in files.values())
        for obj in split.content['annotations']:
            assert obj['area'] == pytest.approx(obj['bbox'][2] * obj['bbox'][3], abs=0.1)
            boxes[files[obj['image_id']].stem, names[obj['category_id']]] = obj['bbox']
    return boxes


def write_roboflow_coco(root):
    """Write COCO files as Roboflow does: next to the images, with a root category and ids from 0."""
    write_coco(root)
    for split, name in {'train': 'train', 'val': 'valid'}.items():
        content = json.loads((root / 'annotations' / f'{split}.json').read_text())
        for category in content['categories']:
            category['supercategory'] = 'things'
        for obj_id, obj in enumerate(content['annotations']):
            obj['id'] = obj_id
        content['categories'].insert(0, {'id': 0, 'name': 'things', 'supercategory': 'none'})
        shutil.move(root / split, root / name)
        (root / name / '_annotations.coco.json').write_text(json.dumps(content))
    shutil.rmtree(root / 'annotations')


def write_symlinked_coco(root):
    """Write a COCO dataset whose image folders are symlinks."""
    write_coco(root)
    for split in ('train', 'val'):
        elsewhere = root.with_name(f'{root.name}_{split}')
        shutil.move(root / split, elsewhere)
        (root / split).symlink_to(elsewhere)


def write_roboflow_yolo(root):
    """Write YOLO data as Roboflow does: the paths in data.yaml start with ../."""
    write_yolo(root)
    (root / 'train').mkdir()
    for kind in ('images', 'labels'):
        shutil.move(root / kind, root / 'train' / kind)
    (root / 'data.yaml').write_text('train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [disc, square]\n')


def write_listed_yolo(root):
    """Write YOLO data with a list of images, a dict of class names and a path that does not exist."""
    write_yolo(root)
    (root / 'train.txt').write_text(''.join(f'images/{number}.jpg\n' for number in range(6)))
    (root / 'data.yaml').write_text('path: /content/photos\ntrain: train.txt\nnames: {0: disc, 1: square}\n')


def write_flat_voc(root):
    """Write VOC data with XML files next to the images, and smaller images of the same names in a subfolder."""
    write_voc(root)
    for folder in ('Annotations', 'JPEGImages'):
        for file in (root / folder).iterdir():
            shutil.move(file, root / file.name)
    for number in range(6):
        (root / 'small').mkdir(exist_ok=True)
        Image.new('RGB', (8, 6)).save(root / 'small' / f'{number}.jpg')
    shutil.rmtree(root / 'ImageSets')


@pytest.mark.parametrize(
    ('name', 'annotation_type', 'write'),
    [
        *(('COCO', 'masks', write) for write in (write_coco, write_roboflow_coco, write_symlinked_coco)),
        *(('YOLO', 'boxes', write) for write in (write_yolo, write_roboflow_yolo, write_listed_yolo)),
        ('YOLO', 'masks', partial(write_yolo, outlines=True)),
        *(('Pascal VOC', 'boxes', write) for write in (write_voc, write_flat_voc)),
    ],
)
def test_all_formats_give_the_same_objects_and_nothing_is_written(name, annotation_type, write, tmp_path):
    root = tmp_path / 'data'
    write(root)
    before = sorted(root.rglob('*'))
    dataset = read_folder(root)
    has_val = 'val' in dataset.splits
    dataset.split_validation()
    sizes = {(i['width'], i['height']) for split in dataset.splits.values() for i in split.content['images']}
    assert sizes == {(96, 72)}
    assert dataset.format.startswith(name)
    assert (dataset.annotation_types[0], dataset.classes) == (annotation_type, CLASSES)
    assert collect_boxes(dataset) == {key: pytest.approx(box, abs=0.02) for key, box in EXPECTED.items()}
    assert len(dataset.splits['val'].image_names) == (2 if has_val else 1)
    assert sorted(root.rglob('*')) == before


def test_difficult_voc_objects_become_crowds(tmp_path):
    write_voc(tmp_path)
    annotations = read_folder(tmp_path).splits['val'].content['annotations']
    assert [obj['iscrowd'] for obj in annotations] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ('write', 'annotated_size', 'expected'),
    [(write_yolo, '', (72, 96)), (write_voc, '', (72, 96)), (write_voc, (96, 72), (96, 72))],
)
def test_sizes_are_after_exif_rotation_unless_annotated_otherwise(write, annotated_size, expected, tmp_path):
    write(tmp_path)
    for file in tmp_path.glob('*/*.jpg'):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(file).save(file, exif=exif)
    for file in tmp_path.rglob('*.xml') if annotated_size else ():
        size = '<size><width>{}</width><height>{}</height></size>'.format(*annotated_size)
        file.write_text(file.read_text().replace('<annotation>', f'<annotation>{size}'))
    image = read_folder(tmp_path).splits['train'].content['images'][0]
    assert (image['width'], image['height']) == expected


def write_images(root, names):
    """Write small images with the given names."""
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
def test_class_folders_are_read(names, classes, tmp_path):
    write_images(tmp_path, names)
    dataset = read_folder(tmp_path)
    assert (dataset.annotation_types, dataset.classes) == (('classes',), classes)
    assert len(dataset.splits['train'].image_names) == 2


def test_segmentation_maps_are_paired_with_images_by_name(tmp_path):
    write_label_maps(tmp_path / 'labelled')
    dataset = read_folder(tmp_path / 'labelled')
    assert dataset.annotation_types == ('labels',)
    assert dataset.classes == ('class 0', 'class 1', 'class 2')
    assert dataset.splits['val'].content == [(f'images/val/{i}.jpg', f'labels/val/{i}.png') for i in (4, 5)]
    (tmp_path / 'labelled' / 'classes.txt').write_text('background\ndisc\nsquare\n')
    assert read_folder(tmp_path / 'labelled').classes == ('background', *CLASSES)
    for names in ('img_dir/{}.jpg ann_dir/{}.png', 'JPEGImages/{}.jpg SegmentationClass/{}.png'):
        root = tmp_path / names[:3]
        write_images(root, ' '.join(names.format(name, name) for name in ('train/0', 'train/1', 'val/2')))
        assert read_folder(root).annotation_types == ('labels',)


def test_annotation_files_with_another_category_order_are_rewritten(tmp_path):
    write_coco(tmp_path / 'data')
    file = tmp_path / 'data' / 'annotations' / 'val.json'
    content = json.loads(file.read_text())
    content['categories'].reverse()
    file.write_text(json.dumps(content))
    dataset = read_folder(tmp_path / 'data')
    write_annotations(dataset, tmp_path / 'made')
    assert dataset.splits['train'].ann_file.parent == file.parent
    written = json.loads(dataset.splits['val'].ann_file.read_text())
    assert dataset.splits['val'].ann_file.parent == tmp_path / 'made'
    assert tuple(category['name'] for category in written['categories']) == CLASSES


def test_the_held_out_images_are_reproducible(tmp_path):
    held_out = []
    for num_images in (40, 40, 44, 1):
        root = tmp_path / str(len(held_out))
        write_images(root, ' '.join(f'images/{i}.jpg labels/{i}.png' for i in range(num_images)))
        dataset = read_folder(root)
        if num_images == 1:
            with pytest.raises(UserError, match='has only one image to train on'):
                dataset.split_validation()
            break
        dataset.split_validation()
        assert not {*dataset.splits['train'].image_names} & {*dataset.splits['val'].image_names}
        held_out.append({*dataset.splits['val'].image_names})
    first, again, more = held_out
    assert (len(first), first == again, len(first - more) <= 3) == (8, True, True)


def test_roboflow_copies_of_an_image_stay_in_one_split(tmp_path):
    write_images(tmp_path, ' '.join(f'{i % 2}/{i}_jpg.rf.{copy}.jpg' for i in range(6) for copy in 'abc'))
    dataset = read_folder(tmp_path)
    dataset.split_validation()
    names = {split: {name.split('.rf.')[0] for name in dataset.splits[split].image_names} for split in ('train', 'val')}
    train, val = names['train'], names['val']
    assert (len(train | val), train & val) == (6, set())


def write_file(file, content):
    return lambda root: (root / file).write_text(content)


def remove(*names):
    return lambda root: [(shutil.rmtree if (root / name).is_dir() else Path.unlink)(root / name) for name in names]


def write_maps(pixels):
    image = Image.fromarray(np.array(pixels, np.uint8))
    return lambda root: [image.resize(Image.open(path).size, 0).save(path) for path in root.rglob('*.png')]


# (function that writes a dataset, change that makes it invalid, part of the error message)
FAULTS = [
    (write_yolo, write_file('labels/0.txt', '0 0.5 0.5 0.2\n'), "line 1 is '0 0.5 0.5 0.2'. Expected CLASS X Y"),
    (write_yolo, write_file('labels/0.txt', '\n2 .5 .5 .2 .2\n'), 'labels/0.txt line 2 is '),
    (write_yolo, write_file('labels/0.txt', '0 48 36 20 20\n'), 'fractions of width and height, not pixels'),
    (write_yolo, remove('data.yaml'), 'but no data.yaml. Write one with two lines: "train: images" and "names: '),
    (write_yolo, remove('labels'), 'no image of train has a label file. Expected '),
    (
        write_yolo,
        write_file('data.yaml', 'train: images\nnc: 3\nnames: [a, b]\n'),
        "'names' is ['a', 'b'], and 'nc' is 3",
    ),
    (write_yolo, write_file('data.yaml', 'train: images\nnames: [yes, no]\n'), 'such as yes, no or null in quotes'),
    (
        write_yolo,
        write_file('data.yaml', 'train: pictures\nnames: [a, b]\n'),
        'names pictures, which does not exist in ',
    ),
    (write_yolo, write_file('data.yaml', 'names: [disc, square]\n'), 'names no folder of training images'),
    (write_yolo, write_file('data.yaml', 'train: images\nnames: [a, a]\n'), 'Expected a list of names without repet'),
    (write_yolo, write_file('data.yaml', 'train: labels\nnames: [a, b]\n'), 'names labels, which contains no images'),
    (write_yolo, write_file('data.yaml', 'train: [\n'), 'data.yaml is not valid YAML'),
    (write_yolo, write_file('images/0.jpg', 'text'), 'images/0.jpg cannot be read'),
    (
        write_yolo,
        write_voc,
        'several formats or places (YOLO: data.yaml; Pascal VOC: Annotations/0.xml, Annotations/1.xml, ...). Keep one',
    ),
    (write_voc, write_file('Annotations/0.xml', '<annotation>'), 'Annotations/0.xml cannot be parsed as XML'),
    (write_voc, write_file('Annotations/0.xml', '<annotation><object/></annotation>'), "object 1 has the name ''"),
    (write_voc, remove('JPEGImages/0.jpg'), 'Annotations/0.xml: no image in '),
    (write_voc, write_file('ImageSets/Main/train.txt', 'a\n'), 'no XML file in it has Pascal VOC annotations'),
    (write_coco, remove('train'), 'train.json lists ('),
    (write_coco, lambda root: shutil.copy(root / 'annotations/train.json', root), 'has the COCO annotation files'),
    (
        write_label_maps,
        write_maps([[0, 255]]),
        'have the values 0 and 255, and the classes are class 0. Expected 0 for the',
    ),
    (write_label_maps, write_maps([[[0, 1, 2]]]), 'has the mode RGB. A segmentation map must have one channel'),
    (write_label_maps, remove('labels/val/5.png'), 'images/val/5.jpg has no segmentation map of its name'),
    (
        write_label_maps,
        write_file('classes.txt', 'background\ndisc\n'),
        'values 0, 1, 2, and the classes are background',
    ),
    (
        write_folders,
        lambda root: (root / 'val/disc').rename(root / 'val/a'),
        'val has the class folders a, but train has only ',
    ),
    (write_folders, write_file('train/disc/a.csv', 'a'), 'not annotations of a known format: train/disc/a.csv'),
]


@pytest.mark.parametrize(('write', 'change', 'words'), FAULTS)
def test_invalid_datasets_are_rejected_with_the_cause(write, change, words, tmp_path):
    root = tmp_path / 'data'
    write(root)
    change(root)
    with pytest.raises(UserError, match=re.escape(words)):
        read_folder(root)


def test_split_names_are_complete_words():
    paths = ('train2017/a', 'a/instances_val2017.json', 'valid/_annotations.coco.json', 'Test', 'trains', 'contest')
    assert [find_split(Path(path)) for path in paths] == ['train', 'val', 'val', 'test', None, None]
