"""Each data format is detected and read; data with a fault are refused by the file's name and what to do."""

import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from mmgcvit.commands.main import run_command
from mmgcvit.datasets.formats import read_folder
from mmgcvit.datasets.formats.dataset_info import find_split
from mmgcvit.errors import UserError

from ...configs.own_data import (
    BOXES,
    CLASSES,
    write_coco,
    write_folders,
    write_labelled,
    write_voc,
    write_yolo,
)

ALL = range(6)


def moved(root, **places):
    """Move what is in a folder of data; a file's lines too where a text is given in place of a new place."""
    for source, target in places.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / source, root / target)


def objects_in(found):
    """Each object by the name of its image and of its class, with its box; crowds by themselves."""
    objects = {}
    for part in found.splits.values():
        names = {each['id']: each['name'] for each in part.content['categories']}
        files = {each['id']: Path(each['file_name']) for each in part.content['images']}
        assert all((part.images / file).is_file() for file in files.values())
        for each in part.content['annotations']:
            assert each['area'] == pytest.approx(each['bbox'][2] * each['bbox'][3], abs=0.1)
            objects[files[each['image_id']].stem, names[each['category_id']]] = each['bbox']
    return objects


def sizes_in(part):
    return {(each['width'], each['height']) for each in part.content['images']}


EXPECTED = {
    (str(number), name): [left, top, right - left, bottom - top]
    for number in ALL
    for name, (left, top, right, bottom) in zip(CLASSES, BOXES, strict=True)
}


def as_exported(root):
    """COCO as Roboflow exports it: beside the images, with a category above the others."""
    write_coco(root)
    for part, name in {'train': 'train', 'val': 'valid'}.items():
        content = json.loads((root / 'annotations' / f'{part}.json').read_text())
        for each in content['categories']:
            each['supercategory'] = 'things'
        content['categories'].insert(0, {'id': 0, 'name': 'things', 'supercategory': 'none'})
        shutil.move(root / part, root / name)
        (root / name / '_annotations.coco.json').write_text(json.dumps(content))
    shutil.rmtree(root / 'annotations')


def behind_links(root):
    """The images elsewhere, and a link that leads round in a circle."""
    write_coco(root)
    for part in ('train', 'val'):
        elsewhere = root.with_name(f'{root.name}_{part}')
        shutil.move(root / part, elsewhere)
        (root / part).symlink_to(elsewhere)
    (root / 'round').symlink_to(root)


def xml_beside_images(root):
    """Both in the folder itself, and smaller images of the same names in others."""
    write_voc(root)
    for number in ALL:
        moved(
            root,
            **{
                f'{folder}/{number}.{ending}': f'{number}.{ending}'
                for folder, ending in (('Annotations', 'xml'), ('JPEGImages', 'jpg'))
            },
        )
        (root / 'images').mkdir(exist_ok=True)
        Image.new('RGB', (8, 6)).save(root / 'images' / f'{number}.jpg')
    shutil.rmtree(root / 'ImageSets')


def sized(root, width, height):
    """State the size in each XML file."""
    for file in (root / 'Annotations').rglob('*.xml'):
        size = f'<size><width>{width}</width><height>{height}</height></size>'
        file.write_text(file.read_text().replace('<annotation>', f'<annotation>{size}'))


def xml_named_otherwise(root):
    """Images and XML files renamed after they were labelled, of the size stated, listed as CVAT lists them."""
    write_voc(root)
    sized(root, 96, 72)
    for number in ALL:
        file = root / 'Annotations' / f'{number}.xml'
        file.write_text(file.read_text().replace(f'{number}.jpg', f'C:\\photos\\{(number + 1) % len(ALL)}.jpg'))
        moved(root, **{f'Annotations/{number}.xml': f'Annotations/train/{number}.xml'})
        moved(root, **{f'JPEGImages/{number}.jpg': f'JPEGImages/train/{number}.jpg'})
        # Label maps by the same names, which are not the images.
        (root / 'SegmentationClass/train').mkdir(parents=True, exist_ok=True)
        Image.new('L', (96, 72)).save(root / 'SegmentationClass/train' / f'{number}.png')
    for part, numbers in {'train': ALL[:4], 'val': ALL[4:]}.items():
        lines = [f'train/{number}{".jpg" if number % 2 else ""}\n' for number in numbers]
        (root / f'ImageSets/Main/{part}.txt').write_text(''.join(lines))


FORMATS = {
    write_coco: ('COCO', 'masks'),
    as_exported: ('COCO', 'masks'),
    behind_links: ('COCO', 'masks'),
    write_yolo: ('YOLO', 'boxes'),
    partial(write_yolo, outlines=True): ('YOLO', 'masks'),
    write_voc: ('Pascal VOC', 'boxes'),
    xml_beside_images: ('Pascal VOC', 'boxes'),
    xml_named_otherwise: ('Pascal VOC', 'boxes'),
}


def test_the_same_objects_are_read_of_every_format_and_nothing_is_written_into_it(tmp_path):
    for number, (write, (layout, kind)) in enumerate(FORMATS.items()):
        root = tmp_path / str(number)
        write(root)
        before = sorted(root.rglob('*'))
        found = read_folder(root)
        own = set(found.splits)
        found.split_validation()
        assert all(sizes_in(part) == {(96, 72)} for part in found.splits.values()), write
        assert (found.format.startswith(layout), found.kinds[0], found.classes) == (True, kind, CLASSES), write
        assert objects_in(found) == {key: pytest.approx(box, abs=0.02) for key, box in EXPECTED.items()}, write
        assert len(found.splits['val'].names) == (2 if 'val' in own else 1), write
        assert sorted(root.rglob('*')) == before, write


def test_difficult_objects_count_neither_way(tmp_path):
    write_voc(tmp_path)
    annotations = read_folder(tmp_path).splits['val'].content['annotations']
    assert [each['iscrowd'] for each in annotations] == [0, 0, 0, 1]


def on_its_side(file):
    image = Image.open(file)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(file, exif=exif)


def test_images_are_measured_as_loading_turns_them_or_as_they_were_annotated(tmp_path):
    sizes = {}
    for name, write in {'yolo': write_yolo, 'none': write_voc, 'upright': write_voc, 'stored': write_voc}.items():
        write(tmp_path / name)
        for file in tmp_path.glob(f'{name}/*/*.jpg'):
            on_its_side(file)
        if name in ('upright', 'stored'):
            sized(tmp_path / name, *((72, 96) if name == 'upright' else (96, 72)))
        first = read_folder(tmp_path / name).splits['train'].content['images'][0]
        sizes[name] = first['width'], first['height']
    assert sizes == {'yolo': (72, 96), 'none': (72, 96), 'upright': (72, 96), 'stored': (96, 72)}


def test_folders_of_classes_and_labels_for_each_pixel(tmp_path):
    write_folders(tmp_path / 'parts')
    found = read_folder(tmp_path / 'parts')
    assert (found.kinds, found.classes) == (('classes',), tuple(sorted(CLASSES)))
    assert found.splits['val'].content == ['val/disc/4.jpg 0', 'val/square/5.jpg 1']
    found = read_folder(tmp_path / 'parts' / 'train')
    assert sorted(found.splits) == ['train']
    assert len(found.splits['train'].names) == 4
    write_labelled(tmp_path / 'labelled')
    found = read_folder(tmp_path / 'labelled')
    assert (found.kinds, found.suffixes) == (('labels',), ('.jpg', '.png'))
    assert found.classes == ('class 0', 'class 1', 'class 2')
    assert found.splits['val'].names == ['val/4', 'val/5']
    (tmp_path / 'labelled' / 'classes.txt').write_text('background\ndisc\nsquare\n')
    assert read_folder(tmp_path / 'labelled').classes == ('background', *CLASSES)


def test_what_is_set_aside_is_the_same_each_time_and_leaves_each_class_to_be_trained_on(tmp_path):
    chosen = []
    for number in (40, 40, 44):
        root = tmp_path / str(len(chosen))
        for image in range(number):
            # Of the second class there is one image.
            folder = root / ('rare' if image == 3 else 'common')
            folder.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (8, 8)).save(folder / f'{image}.png')
        found = read_folder(root)
        found.split_validation()
        assert not set(found.splits['train'].names) & set(found.splits['val'].names)
        assert 'rare/3.png' in found.splits['train'].names
        chosen.append(set(found.splits['val'].names))
    first, again, more = chosen
    assert (len(first), first == again, len(first - more) <= 3) == (8, True, True)
    for file in tmp_path.glob('0/common/[1-9]*.png'):
        file.unlink()
    with pytest.raises(UserError, match='too few images to validate'):
        read_folder(tmp_path / '0').split_validation()


def text(file, content):
    return lambda root: (root / file).write_text(content)


def without(*names):
    return lambda root: [(shutil.rmtree if (root / name).is_dir() else Path.unlink)(root / name) for name in names]


def label_map(pixels):
    def write(root):
        for file in (root / 'labels').rglob('*.png'):
            Image.fromarray(np.array(pixels, np.uint8)).save(file)

    return write


# What writes the data, what is done to them, and what is said.
WRONG = [
    (write_yolo, text('labels/0.txt', '0 0.5 0.5 0.2\n'), r'labels/0.txt line 1 has 4 numbers; expected CLASS X Y'),
    (write_yolo, text('labels/0.txt', '\n0 .5 .5 .2 .2 .9\n'), r'labels/0.txt line 2 has 6 numbers'),
    (write_yolo, text('labels/1.txt', '2 .5 .5 .2 .2\n'), r'labels/1.txt line 1: class 2, but names has 2, 0 to 1'),
    (write_yolo, text('labels/1.txt', '0 48 36 20 20\n'), r'line 1: 48 is not from 0 to 1; .* not pixels'),
    (write_yolo, text('labels/1.txt', '0 nan .5 .2 .2\n'), r'line 1: nan is not from 0 to 1'),
    (write_yolo, text('labels/1.txt', 'disc .5 .5 .2 .2\n'), r"line 1: could not convert .*'disc'"),
    (write_yolo, without('data.yaml'), r'but no data.yaml; expected one with train: images and names'),
    (write_yolo, without('labels'), r'none of 6 images has a label file; expected .*labels/0.txt'),
    (write_yolo, text('data.yaml', 'train: images\n'), r'data.yaml names no classes; expected names: \[cat, dog\]'),
    (write_yolo, text('data.yaml', 'train: images\nnc: 3\nnames: [a, b]\n'), r'nc is 3, but names has 2'),
    (write_yolo, text('data.yaml', 'train: images\nnames: {1: a, 2: b}\n'), r'keys 1, 2; expected 0 to 1'),
    (
        write_yolo,
        text('data.yaml', 'train: pictures\nnames: [a, b]\n'),
        r'train is pictures, but there is no .*/pictures',
    ),
    (write_yolo, text('data.yaml', 'names: [disc, square]\n'), r'names no training images'),
    (write_yolo, text('data.yaml', 'train: [\n'), r'data.yaml is not valid YAML'),
    (write_yolo, text('images/0.jpg', 'text'), r'images/0.jpg is no whole image'),
    (write_yolo, lambda root: write_voc(root), r'holds YOLO \(YAML\) and Pascal VOC \(XML\): move what is not'),
    (write_voc, without('Annotations'), r'JPEGImages as in Pascal VOC, but no Annotations/\*.xml'),
    (write_voc, text('Annotations/0.xml', '<annotation>'), r'Annotations/0.xml is not valid XML'),
    (
        write_voc,
        text('Annotations/0.xml', '<annotation><object><name>a</name></object></annotation>'),
        r'0.xml: object 1 \(a\) has xmin None.*expected a name, and pixels',
    ),
    (write_voc, without('JPEGImages/0.jpg'), r'Annotations/0.xml: its image 0.jpg is not in'),
    (write_voc, lambda root: sized(root, 960, 720), r'0.xml: size is 960 x 720, but .*0.jpg is 96 x 72; expected the'),
    (write_voc, lambda root: sized(root, 72, 96), r'size is 72 x 96, but .*0.jpg is 96 x 72'),
    (
        write_voc,
        text('ImageSets/Main/train.txt', 'a\n'),
        'no XML file in it has Pascal VOC annotations to train on',
    ),
    (
        lambda root: (write_voc(root), (root / 'ImageSets/Main/val.txt').unlink()),
        text('ImageSets/Main/train.txt', 'a\n'),
        r'to train on; ImageSets/Main has a, the files 0',
    ),
    (
        lambda root: (write_voc(root), shutil.rmtree(root / 'ImageSets')),
        text('Annotations/copy of 0.xml', '<annotation><filename>0.jpg</filename></annotation>'),
        r'0.jpg has two XML files',
    ),
    (
        write_voc,
        lambda root: shutil.copytree(root / 'JPEGImages', root / 'images'),
        r'0.xml: its image may be .*images/0.jpg',
    ),
    (
        write_voc,
        lambda root: (root / 'Annotations/0.xml').write_bytes(
            '<?xml version="1.0" encoding="GB2312"?><a>猫</a>'.encode('gb2312')
        ),
        r'0.xml is not valid XML in UTF-8',
    ),
    (write_coco, without('train'), r'train.json names images that are nowhere in'),
    (
        write_coco,
        text('annotations/train.json', '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}'),
        r'lists no images',
    ),
    (write_coco, text('annotations/train.json', '{'), r'train.json: is not valid JSON'),
    (write_coco, text('annotations/train.json', '{"shapes": []}'), r'none to train on .*expected train.json'),
    (write_coco, lambda root: shutil.copy(root / 'annotations/train.json', root), r'are both COCO annotations for'),
    (
        write_labelled,
        label_map([[0, 255]]),
        r'no label but 0 and 255, which means not labelled; expected 0 for the first.*To write 1 for 255: PIL',
    ),
    (write_labelled, label_map([[[0, 1, 2]]]), r'is RGB; expected one channel'),
    (write_labelled, without('labels/val/5.png'), r'without a segmentation map of their name: images/val/5.jpg'),
    (write_labelled, text('classes.txt', 'background\ndisc\n'), r'labels up to 2, but only 2 classes have names'),
    (write_folders, without('val/disc', 'train/disc'), r'nothing that says what is on them|holds 3 images'),
    (write_folders, without('train/disc'), r'expected COCO annotations'),
    (
        write_folders,
        lambda root: (root / 'val/disc').rename(root / 'val/dics'),
        r'val has folders of no class of train',
    ),
    (write_labelled, without('labels'), r'holds 6 images.*expected COCO annotations'),
    (lambda root: root.mkdir(), lambda root: (root / 'a.zip').touch(), r'holds no images, but a.zip: unpack it'),
    (lambda root: root.mkdir(), lambda root: root.rmdir(), r'is not there'),
]


def test_what_is_nearly_a_format_is_refused_with_what_it_lacks(tmp_path):
    wrong = []
    for number, (write, spoil, words) in enumerate(WRONG):
        root = tmp_path / str(number)
        write(root)
        spoil(root)
        try:
            found = read_folder(root)
        except UserError as error:
            if not re.search(words, str(error)):
                wrong.append(f'{number}: {error}, expected {words}')
        else:
            wrong.append(f'{number}: taken as {found}, expected {words}')
    assert not wrong, '\n'.join(wrong)


def test_splits_are_told_by_whole_words():
    names = {
        'train2017/a': 'train',
        'annotations/instances_val2017.json': 'val',
        'valid/_annotations.coco.json': 'val',
        'images/validation': 'val',
        'Test': 'test',
        'trains/valves': None,
        'contest': None,
    }
    assert {name: find_split(Path(name)) for name in names} == names


def test_the_command_converts_for_whatever_reads_coco(tmp_path, capsys):
    write_yolo(tmp_path / 'yolo', outlines=True)
    run_command('convert-data', [tmp_path / 'yolo', tmp_path / 'out'])
    assert f'{tmp_path}/out/train.json: 6 images' in capsys.readouterr().out
    (tmp_path / 'on' / 'another' / 'disk').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'on' / 'another' / 'disk')
    run_command('convert-data', [tmp_path / 'yolo', tmp_path / 'link' / 'out'])
    for out in (tmp_path / 'link' / 'out', tmp_path / 'out'):
        annotations = COCO(out / 'train.json')
        assert all((out / each['file_name']).is_file() for each in annotations.dataset['images'])
    masks = [annotations.annToMask(each).sum() for each in annotations.dataset['annotations']]
    assert masks == pytest.approx([each['area'] for each in annotations.dataset['annotations']], rel=0.05)
    assert objects_in(read_folder(tmp_path / 'out')) == {
        key: pytest.approx(box, abs=0.02) for key, box in EXPECTED.items()
    }
    for folder, words in (
        ('yolo', 'exist; name another folder, or replace them with --overwrite'),
        ('out', 'only YOLO and Pascal VOC are converted'),
    ):
        with pytest.raises(SystemExit, match=words):
            run_command('convert-data', [tmp_path / folder, tmp_path / 'out'])
