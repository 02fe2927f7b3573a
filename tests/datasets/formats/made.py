"""Generate datasets whose content is known, in the folder layouts that labelling tools and public datasets have."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import yaml
from hypothesis import strategies as st
from PIL import Image

WIDTH, HEIGHT = 16, 12
SPLIT_NAMES = {
    'train': ['train', 'Train', 'TRAIN', 'training', 'Training', 'train_set', 'train2017', 'trainset', 'train-images'],
    'val': ['val', 'valid', 'Validation', 'VAL', 'val2017', 'val_set', 'dev'],
    'test': ['test', 'Test', 'testing', 'TESTING', 'test_set', 'test2017'],
}
# Stems that are the same in all splits, and stems with a meaning for a file list, a shell, YAML or mmengine's configs.
STEMS = [
    *('a', 'A', 'a 1', ' blank', 'two  blanks', 'Größe (1)', 'Gro\u0308ße', 'نص', '😀', 'x.y', 'b -1', '#1', '1', '-1'),
    *("it's", '"q"', '{{ fileDirname }}', '{{$HOME:x}}', 'test', 'train_val', 'x' * 90, '$(x)', '%s'),
    *('c\u2028d', 'e\x0cf'),
]
CLASSES = [
    *('cat', 'Dog', 'no', '010', '1.10', 'null', "it's", 'a "b"', '{x}', '}}', 'back\\slash', '# x', 'עברית', '😀'),
    *('train', 'test', 'x' * 100, 'a: b', 'two words', '~', '12:30', 'Größe', "'''", '%d', '*a', '&a', '!!x', '- y'),
]


class Thing(NamedTuple):
    """An object: its class, its box [left, top, right, bottom] in pixels, and whether it has a mask."""

    name: str
    box: tuple[int, int, int, int]
    has_mask: bool


@dataclass
class Photo:
    """An image. Its colour, which no other image has, identifies it. Its label is that of class folders and maps."""

    stem: str
    suffix: str
    number: int
    things: list[Thing]
    label: int

    @property
    def name(self) -> str:
        return self.stem + self.suffix

    @property
    def colour(self) -> tuple[int, int, int]:
        return (40 * (self.number % 6), 40 * (self.number // 6 % 6), 40 * (self.number // 36))

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {} if self.suffix.lower() in ('.png', '.bmp') else {'quality': 100}
        # Some images have other modes, as cameras and scanners write them.
        modes = {'.png': ('RGB', 'RGBA', 'RGB'), '.bmp': 3 * ('RGB',), '.webp': 3 * ('RGB',)}
        modes = modes.get(self.suffix.lower(), ('RGB', 'RGB', 'CMYK'))
        Image.new('RGB', (WIDTH, HEIGHT), self.colour).convert(modes[self.number % 3]).save(path, **options)


def read_number(path: str | Path) -> int:
    """Return the number of the image in a file."""
    red, green, blue = (round(value / 40) for value in Image.open(path).convert('RGB').getpixel((0, 0)))
    return red + 6 * green + 36 * blue


@dataclass
class Made:
    """A dataset: its photos by split, the folder name of each split, its classes, and its annotation format."""

    format: str
    layout: tuple[Any, ...]
    photos: dict[str, list[Photo]]
    folders: dict[str, str]
    classes: list[str]
    with_masks: bool = False
    options: dict[str, bool] = field(default_factory=dict)

    def write(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        function, *patterns = self.layout
        function(self, root, *patterns)
        if self.options['clutter']:
            add_clutter(root)

    @property
    def expected_classes(self) -> tuple[str, ...]:
        if self.format == 'voc':
            return tuple(sorted({thing.name for photos in self.photos.values() for p in photos for thing in p.things}))
        return tuple(sorted(self.classes) if self.format == 'classes' else self.classes)


def write(path: Path, text: str, encoding: str = 'utf-8') -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding=encoding)


def add_clutter(root: Path) -> None:
    """Add what operating systems and servers add to folders: hidden files, thumbnails, and links that lead back."""
    for folder in [path for path in (root, *root.rglob('*')) if path.is_dir()]:
        for name in ('._a.jpg', '._a.xml', '._a.txt', '.DS_Store', 'Thumbs.db', '@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg'):
            write(folder / name, 'x')
        (folder / 'back').symlink_to(root)
        (folder / 'dangling').symlink_to(root / 'missing')
    write(root / '__MACOSX' / '._a.jpg', 'x')
    for name in 'cd':
        (root / name).mkdir()
        (root / name / 'other').symlink_to(root / ('d' if name == 'c' else 'c'))


def to_coco(made: Made, split: str, prefix: str = '') -> str:
    """Return a COCO file. Ids may begin at 0, and categories have another order in other splits.

    Loosely written files have null as iscrowd.
    """
    is_loose = made.options['loose']
    first_id = made.options['from_0'] ^ 1
    ids = {name: 7 * i for i, name in enumerate(made.classes)}
    images = [
        {'id': i, 'file_name': prefix + photo.name, 'width': WIDTH, 'height': HEIGHT}
        for i, photo in enumerate(made.photos[split])
    ]
    annotations = []
    for image, photo in zip(images, made.photos[split], strict=True):
        for thing in photo.things:
            left, top, right, bottom = thing.box
            entry = {
                'id': first_id + len(annotations),
                'image_id': image['id'],
                'category_id': ids[thing.name],
            }
            entry |= {'iscrowd': (None, 0)[len(annotations) % 2]} if is_loose else {}
            entry |= {'bbox': [left, top, right - left, bottom - top], 'area': (right - left) * (bottom - top)}
            if thing.has_mask:
                entry['segmentation'] = [[left, top, right, top, right, bottom, left, bottom]]
            annotations.append(entry)
    categories = [{'id': i, 'name': name} for name, i in ids.items()]
    categories = categories[:: 1 if split == 'train' else -1]
    return json.dumps({'images': images, 'annotations': annotations, 'categories': categories})


def write_coco(made: Made, root: Path, image: str, annotations: str, prefix: str = '') -> None:
    for split, folder in made.folders.items():
        slash = '\\' if made.options['windows'] else '/'
        encoding = 'utf-8-sig' if made.options['loose'] else 'utf-8'
        write(root / annotations.format(folder), to_coco(made, split, prefix.format(slash, folder)), encoding)
        for photo in made.photos[split]:
            photo.write(root / f'{image.format(folder)}{photo.name}')


def to_yolo(made: Made, photo: Photo) -> str:
    lines = []
    for name, (left, top, right, bottom), has_mask in photo.things:
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        values = [((left + right) / 2, (top + bottom) / 2), (right - left, bottom - top)]
        values = np.reshape(corners if has_mask else values, (-1, 2)) / (WIDTH, HEIGHT)
        lines.append(' '.join(map(str, [made.classes.index(name), *values.ravel()])))
    return '\n'.join(lines)


def write_yolo(made: Made, root: Path, image: str, label: str, source: str, lists: bool = False) -> None:
    settings = {'names': dict(enumerate(made.classes)) if made.options['as_dict'] else made.classes}
    settings['nc'] = len(made.classes)
    for split, folder in made.folders.items():
        for photo in made.photos[split]:
            photo.write(root / image.format(folder) / photo.name)
            if photo.things or not made.options['no_empty_files']:
                write(root / label.format(folder) / f'{photo.stem}.txt', to_yolo(made, photo))
        settings[split] = source.format(folder)
        if lists:
            settings[split] = f'{split}.txt'
            write(root / f'{split}.txt', ''.join(f'./{image.format(folder)}/{p.name}\n' for p in made.photos[split]))
    write(root / 'data.yaml', yaml.safe_dump(settings, allow_unicode=made.options['windows'], sort_keys=False))


def to_voc(made: Made, photo: Photo, folder: str) -> str:
    root = ElementTree.Element('annotation')
    ElementTree.SubElement(root, 'folder').text = folder
    size = ElementTree.SubElement(root, 'size')
    for key, value in {'width': WIDTH, 'height': HEIGHT}.items():
        ElementTree.SubElement(size, key).text = '0' if made.options['loose'] else str(value)
    ElementTree.SubElement(root, 'filename').text = photo.name.replace('\x0c', '')  # XML has no form feeds
    for thing in photo.things:
        obj = ElementTree.SubElement(root, 'object')
        ElementTree.SubElement(obj, 'name').text = thing.name
        ElementTree.SubElement(obj, 'difficult').text = 'Unspecified' if made.options['loose'] else '0'
        box = ElementTree.SubElement(obj, 'bndbox')
        left, top, right, bottom = thing.box
        for key, value in {'xmin': left + 1, 'ymin': top + 1, 'xmax': right, 'ymax': bottom}.items():
            ElementTree.SubElement(box, key).text = str(value)
    return ElementTree.tostring(root, 'unicode')


def write_voc(made: Made, root: Path, image: str, xml: str) -> None:
    for split, folder in made.folders.items():
        for photo in made.photos[split]:
            photo.write(root / image.format(folder) / photo.name)
            text = to_voc(made, photo, image.format(folder).split('/')[-1])
            write(root / xml.format(folder) / f'{photo.stem}.xml', text)


def write_voc_devkit(made: Made, root: Path) -> None:
    """Write a folder of Pascal VOC for each split, as VOC2007 and VOC2012 are beside each other."""
    for number, split in enumerate(made.folders):
        base = root / 'VOCdevkit' / f'VOC200{number}'
        for photo in made.photos[split]:
            photo.write(base / 'JPEGImages' / photo.name)
            write(base / 'Annotations' / f'{photo.stem}.xml', to_voc(made, photo, base.name))
        names = ''.join(f'{photo.stem}\n' for photo in made.photos[split])
        write(base / 'ImageSets' / 'Main' / f'{split}.txt', names)
        write(base / 'ImageSets' / 'Main' / f'cat_{split}.txt', 'a -1\n')


def write_class_folders(made: Made, root: Path) -> None:
    for split, folder in made.folders.items():
        for photo in made.photos[split]:
            photo.write(root / folder / made.classes[photo.label] / photo.name)


def write_maps(made: Made, root: Path, image: str, label: str) -> None:
    write(root / 'classes.txt', '\n'.join(made.classes))
    for split, folder in made.folders.items():
        for photo in made.photos[split]:
            photo.write(root / image.format(folder) / photo.name)
            path = root / label.format(folder) / f'{photo.stem}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            label_map = Image.new('P' if made.options['loose'] else 'L', (WIDTH, HEIGHT), photo.label)
            label_map.putpalette([0, 0, 0, 200, 90, 30] * 128) if made.options['loose'] else None
            label_map.save(path)


# The layouts of each format, as functions that write them, and patterns of paths in which {} is the split's folder.
LAYOUTS = {
    'coco': [
        (write_coco, '{}/', 'annotations/instances_{}.json'),  # COCO 2017
        (write_coco, '{}/', '{}/_annotations.coco.json'),  # Roboflow
        (write_coco, 'images/{}/', 'annotations/instances_{}.json'),  # CVAT
        (write_coco, 'images/{} ', '{}.json', 'images{}{} '),  # Label Studio
    ],
    'yolo': [
        (write_yolo, '{}/images', '{}/labels', '../{}/images'),  # Roboflow
        (write_yolo, 'images/{}', 'labels/{}', 'images/{}'),  # Ultralytics
        (write_yolo, 'images/{}', 'labels/{}', '', True),  # CVAT
        (write_yolo, '{}', '{}', './{}'),  # LabelImg
    ],
    'voc': [
        (write_voc, '{}', '{}'),  # Roboflow, LabelImg
        (write_voc, '{}/JPEGImages', '{}/Annotations'),  # CVAT
        (write_voc, 'images/{}', 'Annotations/{}'),  # Label Studio
        (write_voc, '{}', '{}/xmls'),
        (write_voc_devkit,),  # VOC2012
    ],
    'classes': [(write_class_folders,)],  # torchvision, Kaggle
    'maps': [
        (write_maps, 'images/{}', 'labels/{}'),
        (write_maps, 'img_dir/{}', 'ann_dir/{}'),  # mmseg
        (write_maps, '{}/JPEGImages', '{}/SegmentationClass'),
    ],
}
OPTIONS = ('from_0', 'loose', 'windows', 'as_dict', 'no_empty_files', 'clutter')


@st.composite
def make_datasets(draw: st.DrawFn, formats: tuple[str, ...] = tuple(LAYOUTS), min_train: int = 2) -> Made:
    """Draw a dataset of any format and layout: the same stems in several splits, and no, one or many objects."""
    data_format = draw(st.sampled_from(formats))
    layout = draw(st.sampled_from(LAYOUTS[data_format]))
    options = {name: draw(st.booleans()) for name in OPTIONS}
    classes = draw(st.lists(st.sampled_from(CLASSES), min_size=2, max_size=4, unique=True))
    held_out = draw(st.sampled_from([(), ('val',), ('val', 'test')]))
    folders = {split: draw(st.sampled_from(SPLIT_NAMES[split])) for split in ('train', *held_out)}
    with_masks = data_format in ('coco', 'yolo') and draw(st.booleans())
    photos, number = {}, 0
    for split in folders:
        least = min_train if split == 'train' else 2
        stems = draw(st.lists(st.sampled_from(STEMS), min_size=least, max_size=least + 2, unique=True))
        photos[split] = []
        for index, stem in enumerate(stems):
            count = 1 if index == 0 or (index < len(classes) and split == 'train') else draw(st.integers(0, 3))
            things = []
            for i in range(count):
                left, top = draw(st.integers(0, WIDTH - 3)), draw(st.integers(0, HEIGHT - 3))
                right, bottom = draw(st.integers(left + 2, WIDTH)), draw(st.integers(top + 2, HEIGHT))
                name = classes[index % len(classes)] if i == 0 else draw(st.sampled_from(classes))
                things.append(Thing(name, (left, top, right, bottom), with_masks))
            suffix = draw(st.sampled_from(['.png', '.jpg', '.JPG', '.jpeg', '.webp', '.bmp']))
            photos[split].append(Photo(stem, suffix, number, things, index % len(classes)))
            number += 1
    if data_format in ('classes', 'maps'):
        used = {photo.label for photo in photos['train']}
        classes = classes[: len(used)]
        for split in photos:
            for photo in photos[split]:
                photo.label %= len(classes)
    return Made(data_format, layout, photos, folders, classes, with_masks, options)
