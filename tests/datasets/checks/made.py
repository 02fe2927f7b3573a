"""Write small valid datasets of each format, which tests then damage, and run the checks on
them.
"""

import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from PIL import Image
from rich.progress import Progress

from mmgcvit.datasets.checks.datasets import check_datasets
from mmgcvit.datasets.rules.rule import Report
from mmgcvit.host.config import LOADERS, enter_scope

from ...coco import Content, make_annotation, make_content, make_image
from ...own.data.formats.made import write

WIDTH, HEIGHT = 40, 30
NAMES = ('a.jpg', 'b.jpg', 'c.jpg')
Settings = dict[str, Any]  # of a dataset, in a config
SCOPES = {'CocoDataset': 'mmdet', 'BaseSegDataset': 'mmseg', 'CustomDataset': 'mmpretrain'}


def pixels(seed: int = 0) -> NDArray[np.uint8]:
    """Return random pixels (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def write_exif_rotated(path: Path) -> None:
    """Write an image with an EXIF rotation of 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    write(path, pixels(), exif=exif)


def write_png(
    path: Path, width: int, height: int, bits: int, colour_type: int, data: bytes
) -> None:
    """Write a PNG file with any header, also one that Pillow cannot write."""
    header = struct.pack('>IIBBBBB', width, height, bits, colour_type, 0, 0, 0)
    parts = [(b'IHDR', header), (b'IDAT', zlib.compress(data))]
    chunks = [
        struct.pack('>I', len(x)) + name + x + struct.pack('>I', zlib.crc32(name + x))
        for name, x in parts
    ]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(chunks))


def write_bomb(path: Path) -> None:
    """Write a PNG file whose header declares 900 million pixels, without pixel data."""
    write_png(path, 30_000, 30_000, bits=8, colour_type=2, data=b'')


def cut(path: Path) -> None:
    """Keep half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def coco_content() -> Content:
    """Return the content of an annotation file: three images with one object each."""
    box = [2, 3, 10, 12]
    outline = [2, 3, 12, 3, 12, 15, 2, 15]
    images = []
    annotations = []
    for index, name in enumerate(NAMES):
        images.append(make_image(index, name, WIDTH, HEIGHT))
        category_id = 1 + index % 2
        annotations.append(
            make_annotation(
                10 + index, index, category_id, box, iscrowd=0, segmentation=[outline[:]]
            )
        )
    return make_content(images, annotations, {'cat': 1, 'dog': 2})


def write_coco(root: Path, content: Content | None = None) -> Settings:
    """Write a COCO dataset and return its config."""
    for seed, name in enumerate(NAMES):
        write(root / 'images' / name, pixels(seed))
    (root / 'train.json').write_text(json.dumps(content or coco_content()))
    return {
        'type': 'CocoDataset',
        'data_root': str(root),
        'ann_file': 'train.json',
        'data_prefix': {'img': 'images/'},
        'metainfo': {'classes': ('cat', 'dog')},
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        ],
    }


def write_rotated_coco(root: Path) -> Settings:
    """Write a COCO dataset with an EXIF-rotated image and return a config that loads it as
    annotated.
    """
    settings = write_coco(root)
    write_exif_rotated(root / 'images/b.jpg')
    settings['pipeline'].insert(1, {'type': 'mmgcvit.ApplyExifAsAnnotated'})
    return settings


def write_ade20k(root: Path) -> Settings:
    """Write images and segmentation maps with labels 0 (not labelled) to 2, and return their
    config.
    """
    for name in NAMES:
        write(root / 'images' / name, pixels())
        labels = np.resize(np.arange(3, dtype=np.uint8), (HEIGHT, WIDTH))
        write(root / 'labels' / name.replace('.jpg', '.png'), labels)
    return {
        'type': 'BaseSegDataset',
        'data_root': str(root),
        'data_prefix': {'img_path': 'images', 'seg_map_path': 'labels'},
        'reduce_zero_label': True,
        'metainfo': {'classes': ('sky', 'ground'), 'palette': [(0, 0, 0), (1, 1, 1)]},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}],
    }


def write_folders(root: Path, folders: Sequence[str] = ('cat', 'dog')) -> Settings:
    """Write class folders with one image each and return their config."""
    for name in folders:
        write(root / 'train' / name / 'a.jpg', pixels())
    return {'type': 'CustomDataset', 'data_root': str(root), 'data_prefix': 'train', 'pipeline': []}


def config(dataset: Settings, loader: str = 'train_dataloader', **settings: Any) -> Config:
    """Return a config with a dataset in one of its dataloaders."""
    scope = SCOPES.get(dataset['type'], 'mmpretrain')
    return Config({'default_scope': scope, loader: {'dataset': dataset}, **settings})


def check(cfg: Config, loaders: Sequence[str] = LOADERS, images: int | None = None) -> Report:
    """Check the datasets of dataloaders of a config and return the report."""
    enter_scope(cfg)
    return check_datasets(cfg, loaders, images, Progress(disable=True))
