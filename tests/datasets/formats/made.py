"""Write datasets whose content is known, in the folder layouts that labelling tools and public
datasets have.

``write_example`` writes a small one, ``make_datasets`` draws any for property tests.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from pycocotools import mask as coco_mask

from mmgcvit.datasets.formats import class_folders, maps
from mmgcvit.datasets.layouts import get_split

# Of properties that write files.
QUICK = settings(
    max_examples=120,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
WIDTH, HEIGHT = 96, 72
GREY_STEP = 7  # between the grey levels of two images
SPLIT_NAMES = {
    'train': [
        'train',
        'TRAIN',
        'training',
        'train_set',
        'train2017',
        'trainset',
        'train-images',
    ],
    'val': ['val', 'valid', 'Validation', 'val2017', 'val_set', 'dev'],
    'test': ['test', 'Test', 'testing', 'TESTING', 'test_set', 'test2017'],
}
# Stems that are the same in all splits, and stems with a meaning for a file list, a shell, YAML or
# mmengine's configs.
STEMS = [
    'a',
    'A',
    'a 1',
    ' blank',
    'two  blanks',
    'Größe (1)',
    'Größe',
    'نص',
    '😀',
    'x.y',
    'b -1',
    '#1',
    '1',
    '-1',
    "it's",
    '"q"',
    '{{ fileDirname }}',
    '{{$HOME:x}}',
    'test',
    'train_val',
    '$(x)',
    '%s',
    'c\u2028d',
    'e\x0cf',
    'x' * 90,
]
CLASSES = [
    'cat',
    'Dog',
    'no',
    '010',
    '1.10',
    'null',
    "it's",
    'a "b"',
    '{x}',
    '}}',
    'back\\slash',
    '# x',
    'עברית',
    '😀',
    'train',
    'test',
    'a: b',
    'two words',
    '~',
    '12:30',
    'Größe',
    "'''",
    '%d',
    '*a',
    '&a',
    '!!x',
    '- y',
    'x' * 100,
]


def write(path: Path, content: str | np.ndarray | Image.Image, **options: Any) -> None:
    """Write text or an image, and create its folder. ``options`` are those of Pillow's ``save``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding='utf-8')
    else:
        image = content if isinstance(content, Image.Image) else Image.fromarray(content)
        image.save(path, **options)


def mark_as_rotated(image: Path) -> None:
    """Give an image file an EXIF rotation by 90 degrees."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.open(image).save(image, exif=exif)


class Thing(NamedTuple):
    """An object: its class, its box [left, top, right, bottom] in pixels, and whether it has a mask
    and is a crowd.
    """

    name: str
    box: tuple[int, int, int, int]
    has_mask: bool
    is_crowd: bool = False


@dataclass
class Photo:
    """An image. Its label is that of class folders and maps.

    Its grey level, which no other image has, identifies it. A textured image is noise with its
    objects in red and blue.
    """

    stem: str
    suffix: str
    number: int
    things: list[Thing]
    label: int
    is_textured: bool = False

    @property
    def name(self) -> str:
        return self.stem + self.suffix

    def write(self, path: Path) -> None:
        pixels = np.full((HEIGHT, WIDTH, 3), GREY_STEP * self.number, np.uint8)
        if self.is_textured:
            pixels = np.random.default_rng(self.number).integers(0, 60, pixels.shape, np.uint8)
            for index, (_, (left, top, right, bottom), *_) in enumerate(self.things):
                pixels[top:bottom, left:right, 2 * index] += 190
        # Some images have other modes, as cameras and scanners write them.
        modes = {'.png': 'RGBA', '.bmp': 'RGB', '.webp': 'RGB'}
        mode = modes.get(self.suffix.lower(), 'CMYK') if self.number % 3 == 2 else 'RGB'
        write(path, Image.fromarray(pixels).convert(mode), quality=100)


def read_number(path: str | Path) -> int:
    """Return the number of the image in a file."""
    return round(Image.open(path).convert('L').getpixel((0, 0)) / GREY_STEP)


@dataclass
class Made:
    """A dataset: its photos by split, the folder name of each split, its classes, and its
    annotation format.
    """

    format: str
    layout: tuple[Any, ...]
    photos: dict[str, list[Photo]]
    folders: dict[str, str]
    classes: list[str]
    options: set[str]  # see OPTIONS

    def write(self, root: Path) -> None:
        for split in self.folders:
            for photo in self.photos[split]:
                photo.write(root / self.get_name(split, photo))
        if self.format in WRITERS:
            WRITERS[self.format](self, root, *self.layout)
        if 'clutter' in self.options:
            add_clutter(root)

    def get_name(self, split: str, photo: Photo) -> str:
        folder = self.layout[0].format(self.folders[split], label=self.classes[photo.label])
        return f'{folder}{photo.name}'

    @property
    def task(self) -> str | None:
        """What ``--task`` must say."""
        return 'semantic' if self.format == 'maps' else None


def add_clutter(root: Path) -> None:
    """Add what is not data: hidden files, thumbnails, files of GDAL, links that lead back, and what
    mmgcvit writes.
    """
    for folder in [path for path in (root, *root.rglob('*')) if path.is_dir()]:
        for name in (
            '._a.jpg',
            '._a.xml',
            'a.jpg.aux.xml',
            '._a.txt',
            '.DS_Store',
            'Thumbs.db',
            '@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg',
        ):
            write(folder / name, 'x')
        (folder / '._b.txt').write_bytes(b'\xb0')  # macOS' are not text
        (folder / 'back').symlink_to(root)
        (folder / 'dangling').symlink_to(root / 'missing')
    for name in (
        '__MACOSX/._a.jpg',
        'predictions/vis/a.jpg',
        'run/val_images/a.jpg',
        'run/1/vis_data/a.jpg',
    ):
        write(root / name, 'x')
    for name, other in ('cd', 'dc'):
        (root / name).mkdir()
        (root / name / 'other').symlink_to(root / other)


def encode_box(box: list[int]) -> dict[str, Any]:
    """Return the RLE of a box [x, y, width, height]."""
    (rle,) = coco_mask.frPyObjects(np.array([box], float), HEIGHT, WIDTH)
    return {**rle, 'counts': rle['counts'].decode()}


def to_coco(made: Made, split: str, prefix: str = '') -> str:
    """Return a COCO file. Ids begin at 0, and may be on both sides of 2**63.

    Loosely written files have a byte order mark, null or no iscrowd for objects that are not
    crowds, ignore for some that are, and categories in another order in other splits.
    """
    is_loose = 'loose' in made.options
    scale = 2**62 if 'big_ids' in made.options else 1
    categories = [{'id': 7 * i * scale, 'name': name} for i, name in enumerate(made.classes)]
    images, annotations = [], []
    for photo in made.photos[split]:
        image_id = scale * len(images)
        images.append(
            {'id': image_id, 'file_name': prefix + photo.name, 'width': WIDTH, 'height': HEIGHT}
        )
        for thing in photo.things:
            left, top, right, bottom = thing.box
            width, height = right - left, bottom - top
            is_odd = len(annotations) % 2
            entry = {
                'id': scale * len(annotations),
                'image_id': image_id,
                'category_id': 7 * scale * made.classes.index(thing.name),
                'bbox': [left, top, width, height],
                'area': width * height,
            }
            if thing.is_crowd and is_loose and is_odd:
                entry['ignore'] = 1
            elif thing.is_crowd or not is_loose:
                entry['iscrowd'] = int(thing.is_crowd)
            elif is_odd:
                entry['iscrowd'] = None
            if thing.has_mask:
                middle = (left + right) / 2
                corners = [left, top, middle, top, right, top, right, bottom, left, bottom]
                if 'corners' in made.options:
                    del corners[2:4]
                entry['segmentation'] = [corners]
            if 'brush' in made.options:
                entry |= {'segmentation': encode_box(entry['bbox']), 'iscrowd': 1}
            annotations.append(entry)
    if is_loose and split != 'train':
        categories.reverse()
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    return '\ufeff' * is_loose + json.dumps(content)


def write_coco(made: Made, root: Path, image: str, annotations: str, prefix: str = '') -> None:
    for split, folder in made.folders.items():
        slash = '\\' if 'windows' in made.options else '/'
        write(root / annotations.format(folder), to_coco(made, split, prefix.format(slash, folder)))


def to_yolo(made: Made, photo: Photo) -> str:
    lines = []
    for name, (left, top, right, bottom), has_mask, _ in photo.things:
        middle = (left + right) / 2
        points = [(middle, (top + bottom) / 2), (right - left, bottom - top)]
        if has_mask:
            points = [(left, top), (left, bottom), (right, bottom), (right, top), (middle, top)]
        values = np.divide(points, (WIDTH, HEIGHT))
        lines.append(' '.join(map(str, [made.classes.index(name), *values.ravel()])))
    return '\n'.join(lines)


def write_yolo(made: Made, root: Path, image: str, label: str, source: str = '') -> None:
    names = dict(enumerate(made.classes)) if 'as_dict' in made.options else made.classes
    settings = {'names': names, 'nc': len(names)}
    for split, folder in made.folders.items():
        for photo in made.photos[split]:
            if photo.things or 'no_empty_files' not in made.options:
                write(root / label.format(folder) / f'{photo.stem}.txt', to_yolo(made, photo))
        settings[split] = source.format(folder) or f'{split}.txt'
        if not source:
            start = './' if 'windows' in made.options else 'data/'  # CVAT's, without such a folder
            write(
                root / f'{split}.txt',
                ''.join(f'{start}{image.format(folder)}{p.name}\n' for p in made.photos[split]),
            )
    write(
        root / 'data.yaml',
        yaml.safe_dump(settings, allow_unicode='windows' in made.options, sort_keys=False),
    )


def to_voc(made: Made, photo: Photo) -> str:
    is_loose = 'loose' in made.options
    width, height = ('0', '0') if is_loose else (WIDTH, HEIGHT)
    name = escape(photo.name.replace('\x0c', ''))  # XML has no form feeds
    text = f'<filename>{name}</filename>'
    text += f'<size><width>{width}</width><height>{height}</height></size>'
    for thing in photo.things:
        left, top, right, bottom = thing.box
        difficult = ('Unspecified', 'True') if is_loose else ('0', '1')
        text += f'<object><name>{escape(thing.name)}</name>'
        text += f'<difficult>{difficult[thing.is_crowd]}</difficult>'
        text += f'<bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>'
        text += f'<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>'
    return f'<annotation>{text}</annotation>'


def write_voc(made: Made, root: Path, image: str, xml: str, lists: str = '') -> None:
    for split, folder in made.folders.items():
        names = ''
        for photo in made.photos[split]:
            path = root / f'{xml.format(folder)}{photo.stem}.xml'
            write(path, to_voc(made, photo))
            names += f'{path.stem}\n'
        if lists:
            write(root / lists / f'{split}.txt', names)
            write(root / lists / f'cat_{split}.txt', 'a -1\n')


def write_maps(made: Made, root: Path, image: str, label: str) -> None:
    if made.classes[0] != 'class 0':
        write(root / 'classes.txt', '\n'.join(made.classes))
    for split, folder in made.folders.items():
        for photo in made.photos[split]:
            labels = Image.new('L', (WIDTH, HEIGHT), photo.label)
            if 'loose' in made.options:
                labels.putpalette([0, 0, 0, 200, 90, 30] * 128)
            for thing in photo.things:
                labels.paste(made.classes.index(thing.name), thing.box)
            write(root / label.format(folder) / f'{photo.stem}.png', labels)


# The functions that write annotations. Class folders have none.
WRITERS = {'coco': write_coco, 'yolo': write_yolo, 'voc': write_voc, 'maps': write_maps}
# How to write each declared layout: what is before the name in an image's path, and other arguments
# of the format's function. {} is the split's folder, {label} the class.
LAYOUTS = {
    'coco': {
        'COCO 2017': ('{}/', 'annotations/instances_{}.json'),
        'CVAT and Datumaro (COCO)': ('images/{}/', 'annotations/instances_{}.json'),
        'CVAT until 2024, and Datumaro with merged images (COCO)': (
            'images/{} ',
            'annotations/instances_{}.json',
            '{1} ',
        ),
        'Roboflow and RF-DETR (COCO)': ('{}/', '{}/_annotations.coco.json'),
        "mmdet's configs (COCO)": ('{}/', 'annotations/{}.json'),
        "mmdet's configs (COCO), with a folder for images": ('images/{}/', 'annotations/{}.json'),
        'MMYOLO (COCO)': ('images/{} ', 'annotations/{}.json', '{1} '),
        'Label Studio, labelme and VIA (COCO)': ('images/{} ', '{}.json', 'images{}{} '),
        'Label Studio with brush masks (COCO)': ('images/{} ', '{}.json', '{1} '),
        'FiftyOne (COCO)': ('data/{} ', '{}.json', '{1} '),
    },
    'yolo': {
        'Ultralytics and FiftyOne (YOLO)': ('images/{}/', 'labels/{}', 'images/{}'),
        'Roboflow (YOLO)': ('{}/images/', '{}/labels', '../{}/images'),
        'CVAT (Ultralytics YOLO)': ('images/{}/', 'labels/{}'),
        'labelImg (YOLO), with a data.yaml': ('{}/', '{}', './{}'),
    },
    'voc': {
        'VOC2012, CVAT and labelme': ('JPEGImages/{} ', 'Annotations/{} ', 'ImageSets/Main'),
        'Label Studio (VOC)': ('images/', 'Annotations/'),
        'FiftyOne (VOC)': ('data/', 'labels/'),
        'Roboflow (VOC)': ('{}/', '{}/'),
        'labelImg (VOC)': ('', ''),
    },
    'classes': {
        f'{class_folders.TOOLS}, with splits': ('{}/{label}/',),
        class_folders.TOOLS: ('{label}/',),
    },
    'maps': {
        f'{layout.tools} {layout.images}': tuple(
            pattern.replace('{split}', '{}')
            for pattern in (f'{layout.images}/', layout.annotations)
        )
        for layout in maps.LAYOUTS
        if not layout.endings
    },
}
# What is drawn for datasets. Further options are faults that rules find: corners, brush.
OPTIONS = ('loose', 'windows', 'as_dict', 'no_empty_files', 'clutter', 'big_ids')


# The layouts of small examples.
EXAMPLES = {
    'coco': ('{}/', 'annotations/{}.json'),
    'yolo': ('images/', 'labels', 'images'),
    'voc': ('JPEGImages/', 'Annotations/', 'ImageSets/Main'),
    'maps': ('images/{}/', 'labels/{}'),
    'classes': ('{}/{label}/',),
}


def write_example(root: Path, data_format: str) -> None:
    """Write a dataset: a disc and a square on each image, four images to train and, but for YOLO,
    two to validate.
    """
    numbers = {'train': 6} if data_format == 'yolo' else {'train': 4, 'val': 2}
    make_example(data_format, EXAMPLES[data_format], numbers, is_textured=True).write(root)


def make_example(
    data_format: str, layout: tuple[Any, ...], numbers: dict[str, int], is_textured: bool = False
) -> Made:
    """Return a dataset of numbers of images by split.

    Segmentation maps have a background too, and no class names.
    """
    classes = ['class 0', 'class 1', 'class 2'] if data_format == 'maps' else ['disc', 'square']
    photos = {split: [] for split in numbers}
    for number, split in enumerate(Counter(numbers).elements()):
        things = [
            Thing(classes[-2], (8, 10, 40, 42), data_format == 'coco'),
            Thing(classes[-1], (50, 20, 86, 60), data_format == 'coco'),
        ]
        label = number % 2 if data_format == 'classes' else 0
        photos[split].append(Photo(str(number), '.jpg', number, things, label, is_textured))
    return Made(data_format, layout, photos, {split: split for split in photos}, classes, set())


@st.composite
def make_datasets(draw: st.DrawFn) -> Made:
    """Draw a dataset of any format and layout: the same stems in several splits, and no, one or
    many objects.
    """
    data_format = draw(st.sampled_from([*LAYOUTS]))
    layout = draw(st.sampled_from([*LAYOUTS[data_format].values()]))
    has_splits = '{}' in layout[0]
    options = draw(st.sets(st.sampled_from(OPTIONS)))
    names = [name for name in CLASSES if has_splits or get_split(name) is None]
    classes = draw(st.lists(st.sampled_from(names), min_size=2, max_size=4, unique=True))
    splits = [*SPLIT_NAMES][: draw(st.integers(1, 3)) if has_splits else 1]
    folders = {split: draw(st.sampled_from(SPLIT_NAMES[split])) for split in splits}
    if data_format == 'maps' and 'as_dict' in options:
        classes = [f'class {index}' for index in range(len(classes))]
    with_masks = data_format in ('coco', 'yolo') and draw(st.booleans())
    are_crowds = st.booleans() if data_format in ('coco', 'voc') else st.just(False)
    photos, number = {}, 0
    for split in folders:
        # Each class is in training, and one in two images, of which one can be held out.
        least = len(classes) + 1 if split == 'train' else 2
        stems = draw(
            st.lists(st.sampled_from(STEMS), min_size=least, max_size=least + 2, unique=True)
        )
        photos[split] = []
        for index, stem in enumerate(stems):
            has_one = index == 0 or (index <= len(classes) and split == 'train')
            count = 1 if has_one else draw(st.integers(0, 3))
            things = []
            for i in range(0 if data_format in ('classes', 'maps') else count):
                left, top = draw(st.integers(0, WIDTH - 3)), draw(st.integers(0, HEIGHT - 3))
                right = draw(st.integers(left + 2, WIDTH))
                bottom = draw(st.integers(top + 2, HEIGHT))
                name = classes[index % len(classes)] if i == 0 else draw(st.sampled_from(classes))
                is_crowd = i > 0 and draw(are_crowds)
                things.append(Thing(name, (left, top, right, bottom), with_masks, is_crowd))
            suffix = draw(st.sampled_from(['.png', '.jpg', '.JPG', '.jpeg', '.webp', '.bmp']))
            photos[split].append(Photo(stem, suffix, number, things, index % len(classes)))
            number += 1
    return Made(data_format, layout, photos, folders, classes, options)
