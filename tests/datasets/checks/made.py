"""Tiny data sets of each kind, whole until a test breaks them, and what the checks say of them."""

import json
import os
import re
import struct
import zlib

import numpy as np
from mmengine.config import Config
from PIL import Image
from rich.progress import Progress

from mmgcvit.config import enter_scope
from mmgcvit.datasets.checks import Outcome, check_datasets

WIDTH, HEIGHT = 40, 30
NAMES = ('a.jpg', 'b.jpg', 'c.jpg')
ORIENTATION = 0x0112
LOADERS = ['train_dataloader', 'val_dataloader', 'test_dataloader']


def pixels(width=WIDTH, height=HEIGHT):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def write_image(path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels()).save(path, **options)


def write_turned(path, orientation=6):
    """An image that its EXIF data turn, by default by 90 degrees."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    write_image(path, exif=exif)


def png_header(width, height):
    """A PNG file that announces a size, and ends where its pixels begin."""
    header = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + header + struct.pack('>II', zlib.crc32(header), 1000) + b'IDAT'
    )


def write_bomb(path):
    path.write_bytes(png_header(30_000, 30_000))


def write_jpeg_bomb(path, side=30_000):
    """A JPEG file whose header tells of more pixels than it has."""
    write_image(path, format='JPEG')
    small, large = (struct.pack('>HH', *size) for size in ((HEIGHT, WIDTH), (side, side)))
    path.write_bytes(path.read_bytes().replace(small, large, 1))


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# What makes files that no decoder is given, and what is said of them.
NOT_DECODED = {
    'missing': (lambda path: path.unlink(), 'files that are missing'),
    'empty': (lambda path: path.write_bytes(b''), 'files of 0 bytes'),
    'pipe': (pipe, 'no regular files'),
    'folder': (folder, 'no regular files'),
    'bomb': (write_bomb, 'more than .* pixels by their headers'),
}


def coco_content():
    """An annotation file's content: three images with an object each."""
    images = [{'id': i, 'file_name': name, 'width': WIDTH, 'height': HEIGHT} for i, name in enumerate(NAMES)]
    annotations = [
        {
            'id': 10 + i,
            'image_id': i,
            'category_id': 1 + i % 2,
            'bbox': [2, 3, 10, 12],
            'area': 120,
            'iscrowd': 0,
            'segmentation': [[2, 3, 12, 3, 12, 15, 2, 15]],
        }
        for i in range(len(NAMES))
    ]
    categories = [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}]
    return {'images': images, 'annotations': annotations, 'categories': categories}


def changed(change):
    """Such content with a change."""
    content = coco_content()
    change(content)
    return content


def write_coco(root, content=None):
    """A set in COCO's format; its settings in a config."""
    for name in NAMES:
        write_image(root / 'images' / name)
    (root / 'train.json').write_text(json.dumps(content or coco_content()))
    return {
        'type': 'CocoDataset',
        'data_root': str(root),
        'ann_file': 'train.json',
        'data_prefix': {'img': 'images/'},
        'metainfo': {'classes': ('cat', 'dog')},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True}],
    }


def write_labels(path, labels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 3 if labels is None else labels
    Image.fromarray(labels.astype(np.uint8)).save(path)


def write_ade20k(root):
    """Pairs of images and labels from 0, which is not labelled, to 2; settings in a config."""
    for name in NAMES:
        write_image(root / 'images' / name)
        write_labels(root / 'labels' / name.replace('.jpg', '.png'))
    return {
        'type': 'BaseSegDataset',
        'data_root': str(root),
        'data_prefix': {'img_path': 'images', 'seg_map_path': 'labels'},
        'reduce_zero_label': True,
        'metainfo': {'classes': ('sky', 'ground'), 'palette': [(0, 0, 0), (1, 1, 1)]},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}],
    }


def write_folders(root, folders=('cat', 'dog')):
    """Images in a folder for each class; settings in a config."""
    for name in folders:
        write_image(root / 'train' / name / 'a.jpg')
    return {'type': 'CustomDataset', 'data_root': str(root), 'data_prefix': 'train', 'pipeline': []}


SCOPES = {'CocoDataset': 'mmdet', 'BaseSegDataset': 'mmseg', 'CustomDataset': 'mmpretrain'}


def config(dataset, loader='train_dataloader'):
    return Config({'default_scope': SCOPES.get(dataset['type'], 'mmpretrain'), loader: {'dataset': dataset}})


def look(dataset, loader='train_dataloader', images=None):
    """The report on a data set."""
    return look_at_all(config(dataset, loader), [loader], images)


def look_at_all(cfg, loaders=LOADERS, images=None, contents=None):
    enter_scope(cfg)
    return check_datasets(cfg, [name for name in loaders if name in cfg], images, Progress(disable=True), contents)


def refusal(dataset, loader='train_dataloader'):
    """The one sentence that refuses a data set."""
    (sentence,) = look(dataset, loader).format_sentences(Outcome.STOPS)
    return sentence


def expect_answers(faults, harmed, folder, place, outcome=Outcome.STOPS, loader='train_dataloader'):
    """Have each fault, made by ``harmed(root, harm)``, be answered by one sentence with a file's name and its words."""
    wrong = []
    for number, (name, (harm, words)) in enumerate(faults.items()):
        root = folder / str(number)
        report = look(harmed(root, harm), loader)
        said = report.format_sentences(outcome)
        if len(said) != 1 or f'{root}/{place}' not in said[0] or not re.search(words, said[0]):
            wrong.append(f'{name}: {words!r} expected of {place}, not {said}')
        if outcome is not Outcome.STOPS and len(report.found) != 1:
            wrong.append(f'{name}: more is said, {list(report.found)}')
    assert not wrong, '\n'.join(wrong)
