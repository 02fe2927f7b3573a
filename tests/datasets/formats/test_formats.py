"""Errors in a dataset are reported with the file name and a remedy; images are held out in the same way each time."""

import math
import re
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmcv import rescale_size
from PIL import ExifTags, Image, ImageOps

from mmgcvit.datasets.decoding import DecodingSettings, load_image, read_segmentation_map, read_sizes
from mmgcvit.datasets.formats import DatasetInfo, Split, read_folder, split_validation
from mmgcvit.datasets.formats.advice import find_small_objects
from mmgcvit.errors import UserError

from ...configs.templates import write_coco, write_folders, write_label_maps, write_voc, write_yolo


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


def test_json_files_that_are_not_read_are_named(tmp_path):
    write_coco(tmp_path / 'data')
    (tmp_path / 'data' / 'notes.json').write_text('{')
    assert any(
        'notes.json is not valid JSON, and was not read' in note for note in read_folder(tmp_path / 'data').notes
    )


@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif', '.webp', '.avif', '.bmp'])
def test_an_exif_rotation_is_applied_by_training_or_the_image_is_rejected(suffix, orientation, tmp_path):
    pixels = np.zeros((12, 16, 3), np.uint8)
    pixels[:6] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(pixels).save(path := tmp_path / f'a{suffix}', exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    if suffix in ('.webp', '.avif') and orientation > 1:
        with pytest.raises(ValueError, match='EXIF rotation would be ignored'):
            load_image(str(path), DecodingSettings())
        return
    loaded, _ = load_image(str(path), DecodingSettings())
    assert read_sizes(path)[1] == expected.shape[1::-1] == loaded.shape[1::-1]
    assert np.abs(loaded[..., ::-1].astype(int) - expected).max() < 20


def write_grey_png(path, bits):
    """Write a grey PNG file of 16 x 12 pixels with 2 or 4 bits each, which Pillow cannot write."""
    header = struct.pack('>IIBBBBB', 16, 12, bits, 0, 0, 0, 0)
    chunks = [(b'IHDR', header), (b'IDAT', zlib.compress(12 * bytes(1 + 2 * bits)))]
    parts = [struct.pack('>I', len(x)) + name + x + struct.pack('>I', zlib.crc32(name + x)) for name, x in chunks]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(parts))


@pytest.mark.parametrize('bits', [2, 4])
def test_segmentation_maps_whose_values_decoders_scale_are_rejected(bits, tmp_path):
    write_grey_png(tmp_path / 'a.png', bits)
    with pytest.raises(UserError, match='is grey with 2 or 4 bits'):
        read_segmentation_map(tmp_path / 'a.png')


def test_folders_of_predictions_are_not_classes(tmp_path):
    write_images(tmp_path, 'cat/0.jpg dog/1.jpg predictions/0.jpg work_dirs/cat/vis/1.jpg')
    assert read_folder(tmp_path).classes == ('cat', 'dog')


# Sides of an image and of the one object in it, and whether it is a crowd.
SIDES, INVALID = [st.integers(20, 4000)] * 2 + [st.floats(1, 99)] * 2, st.sampled_from([0, -5, math.nan])
OBJECTS = st.lists(st.tuples(*(side | INVALID for side in SIDES), st.booleans()), max_size=40)


@given(OBJECTS, st.integers(64, 900))
def test_small_objects_are_counted_as_mmcv_resizes_and_the_proposed_size_mends_nine_of_ten(objects, size):
    images = [{'id': i, 'width': width, 'height': height} for i, (width, height, *_) in enumerate(objects)]
    boxes = [{'image_id': i, 'bbox': [0, 0, *row[2:4]], 'iscrowd': row[4]} for i, row in enumerate(objects)]
    content = {'images': images, 'annotations': [box | {'category_id': 1} for box in boxes], 'categories': []}
    dataset = DatasetInfo(Path(), 'COCO', ('boxes',), ('a',), {'train': Split(Path(), content)})
    notes = find_small_objects(dataset, size)
    trained = [row for row in objects if all(side > 0 for side in row[:4]) and not row[4]]

    def count_small(side, room):
        scales = [rescale_size(row[:2], (side * 5 / 3, side), return_scale=True)[1] for row in trained]
        return sum((w * h) ** 0.5 * scale * room < 8 for (_, _, w, h, _), scale in zip(trained, scales, strict=True))

    most, least = count_small(size, 0.999), count_small(size, 1.001)
    assert least <= (int(notes[0].split()[0]) if notes else min(least, len(trained) // 10)) <= most
    proposed = map(int, re.findall(r'--image-size (\d+),', ''.join(notes)))
    assert all(count_small(side, 1.001) <= len(trained) / 10 for side in proposed)


def test_the_held_out_images_are_reproducible(tmp_path):
    held_out = []
    for num_images in (40, 40, 44, 1):
        root = tmp_path / str(len(held_out))
        write_images(root, ' '.join(f'images/{i}.jpg labels/{i}.png' for i in range(num_images)))
        dataset = read_folder(root)
        if num_images == 1:
            with pytest.raises(UserError, match='has only one image to train on'):
                split_validation(dataset)
            break
        split_validation(dataset)
        assert not {*dataset.splits['train'].image_names} & {*dataset.splits['val'].image_names}
        held_out.append({*dataset.splits['val'].image_names})
    first, again, more = held_out
    assert (len(first), first == again, len(first - more) <= 3) == (8, True, True)


def test_roboflow_copies_of_an_image_stay_in_one_split(tmp_path):
    write_images(tmp_path, ' '.join(f'{i % 2}/{i}_jpg.rf.{copy}.jpg' for i in range(6) for copy in 'abc'))
    dataset = read_folder(tmp_path)
    split_validation(dataset)
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


def name_another_image(root):
    for path in root.glob('Annotations/*.xml'):
        path.write_text(
            re.sub('<filename>.*?</filename>', '', path.read_text()).replace('>', '><filename>1.jpg</filename>', 1)
        )


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
    (
        write_yolo,
        write_file('data.yaml', 'train: pictures\nnames: [a, b]\n'),
        'names pictures, which does not exist in ',
    ),
    (write_yolo, write_file('data.yaml', 'names: [disc, square]\n'), 'names no folder of training images'),
    (write_yolo, write_file('data.yaml', 'train: labels\nnames: [a, b]\n'), 'names labels, which contains no images'),
    (write_yolo, write_file('images/0.jpg', 'text'), 'images/0.jpg cannot be read'),
    (
        write_yolo,
        write_voc,
        'several formats or places (YOLO: data.yaml; Pascal VOC: Annotations/0.xml, Annotations/1.xml, ...). Keep one',
    ),
    (write_voc, write_file('Annotations/0.xml', '<annotation><object/></annotation>'), "object 1 has the name ''"),
    (write_voc, remove('JPEGImages/0.jpg'), 'Annotations/0.xml: no image in '),
    (write_voc, name_another_image, "<filename> is '1.jpg', which is another image beside"),
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
    (write_label_maps, write_maps([[255]]), '.png has no labelled pixel: all are 255'),
    (write_label_maps, write_maps([[0, 9]]), 'name all classes in classes.txt'),
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
