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

from mmgcvit.own.data.formats import class_folders, maps
from mmgcvit.own.data.layouts import get_split

from ....coco import Content, Entry, make_annotation, make_content, make_image

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


@dataclass(frozen=True)
class Layout:
    """Where a tool writes a dataset, relative to its folder.

    In the texts, ``{split}`` is the name of a split's folder, ``{label}`` the class of an image,
    and ``{slash}`` what separates folders.
    """

    images: str  # what is before the name of an image
    # COCO: the file of a split. YOLO and maps: the folder of labels. VOC: what is before the name
    # of an XML file. Class folders have none.
    annotations: str = ''
    file_names: str = ''  # COCO: what is before an image's name in the file
    source: str = ''  # YOLO: the folder that data.yaml names; without it, lists of images
    lists: str = ''  # VOC: the folder with lists of names


@dataclass(frozen=True)
class Style:
    """How a tool writes a dataset, where tools differ. All of it is valid."""

    is_loose: bool = False  # COCO: see `make_coco`. VOC: no size, other words. Maps: palettes
    is_windows: bool = False  # backslashes, lists with ./, YAML in UTF-8
    has_names_by_index: bool = False  # YOLO: names is a dict. Maps: no class names
    has_empty_files: bool = True  # YOLO: of images without objects
    has_clutter: bool = False  # files that are not data
    has_big_ids: bool = False  # COCO: on both sides of 2**63
    # COCO: faults that rules find
    masks_are_boxes: bool = False
    masks_are_crowds: bool = False  # as CVAT's brush writes them


@dataclass
class Made:
    """A dataset: its photos by split, the folder name of each split, its classes, and its
    annotation format.
    """

    format: str
    layout: Layout
    photos: dict[str, list[Photo]]
    folders: dict[str, str]
    classes: list[str]
    style: Style = Style()

    def write(self, root: Path) -> None:
        for split in self.folders:
            for photo in self.photos[split]:
                photo.write(root / self.get_name(split, photo))
        if self.format in WRITERS:
            write_annotations = WRITERS[self.format]
            write_annotations(self, root)
        if self.style.has_clutter:
            add_clutter(root)

    def get_name(self, split: str, photo: Photo) -> str:
        """Return the path of an image, relative to the dataset's folder."""
        label = self.classes[photo.label]
        folder = self.layout.images.format(split=self.folders[split], label=label)
        return f'{folder}{photo.name}'

    def get_annotations(self, root: Path, split: str) -> Path:
        """Return the file or folder of a split's annotations."""
        return root / self.layout.annotations.format(split=self.folders[split])

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


def make_coco(made: Made, split: str) -> Content:
    """Return the content of a COCO file. Ids begin at 0, and may be on both sides of 2**63.

    Loosely written files have null or no iscrowd for objects that are not crowds, ignore for some
    that are, and categories in another order in other splits.
    """
    style = made.style
    scale = 2**62 if style.has_big_ids else 1
    slash = '\\' if style.is_windows else '/'
    prefix = made.layout.file_names.format(slash=slash, split=made.folders[split])
    category_ids = {name: 7 * index * scale for index, name in enumerate(made.classes)}
    images = []
    annotations = []
    for photo in made.photos[split]:
        image_id = scale * len(images)
        images.append(make_image(image_id, prefix + photo.name, WIDTH, HEIGHT))
        for thing in photo.things:
            left, top, right, bottom = thing.box
            is_odd = len(annotations) % 2 == 1
            others = make_crowd_flag(thing.is_crowd, style.is_loose, is_odd)
            box = [left, top, right - left, bottom - top]
            if thing.has_mask:
                others['segmentation'] = [make_outline(thing.box, style.masks_are_boxes)]
            if style.masks_are_crowds:
                others |= {'segmentation': encode_box(box), 'iscrowd': 1}
            annotation_id = scale * len(annotations)
            category_id = category_ids[thing.name]
            annotations.append(make_annotation(annotation_id, image_id, category_id, box, **others))
    content = make_content(images, annotations, category_ids)
    if style.is_loose and split != 'train':
        content['categories'].reverse()
    return content


def make_crowd_flag(is_crowd: bool, is_loose: bool, is_odd: bool) -> Entry:
    """Return what COCO says of a crowd, or of an object that is none.

    Loosely written files say it in different ways: ``is_odd`` chooses one.
    """
    if is_crowd and is_loose and is_odd:
        return {'ignore': 1}
    if is_crowd or not is_loose:
        return {'iscrowd': int(is_crowd)}
    return {'iscrowd': None} if is_odd else {}


def make_outline(box: tuple[float, ...], is_box: bool) -> list[float]:
    """Return a polygon of a box [left, top, right, bottom].

    It has a fifth point, which tells it from the corners of a box, unless it ``is_box``.
    """
    left, top, right, bottom = box
    middle = [] if is_box else [(left + right) / 2, top]
    return [left, top, *middle, right, top, right, bottom, left, bottom]


def write_coco(made: Made, root: Path) -> None:
    """Write a COCO file for each split. Loosely written ones have a byte order mark."""
    mark = '\ufeff' if made.style.is_loose else ''
    for split in made.folders:
        text = json.dumps(make_coco(made, split))
        write(made.get_annotations(root, split), mark + text)


def make_yolo_line(thing: Thing, classes: list[str]) -> str:
    """Return an object in YOLO's format: its box, or its mask as a polygon."""
    left, top, right, bottom = thing.box
    middle = (left + right) / 2
    points = [(middle, (top + bottom) / 2), (right - left, bottom - top)]
    if thing.has_mask:
        points = [(left, top), (left, bottom), (right, bottom), (right, top), (middle, top)]
    values = np.divide(points, (WIDTH, HEIGHT)).ravel()
    return ' '.join(map(str, [classes.index(thing.name), *values]))


def write_yolo(made: Made, root: Path) -> None:
    """Write YOLO's label files and data.yaml, and lists of images if the layout has no source."""
    style = made.style
    names = dict(enumerate(made.classes)) if style.has_names_by_index else made.classes
    settings = {'names': names, 'nc': len(names)}
    for split, folder in made.folders.items():
        for photo in made.photos[split]:
            if photo.things or style.has_empty_files:
                lines = [make_yolo_line(thing, made.classes) for thing in photo.things]
                file = made.get_annotations(root, split) / f'{photo.stem}.txt'
                write(file, '\n'.join(lines))
        if made.layout.source:
            settings[split] = made.layout.source.format(split=folder)
        else:
            settings[split] = f'{split}.txt'
            start = './' if style.is_windows else 'data/'  # CVAT's, without such a folder
            names_of_images = [made.get_name(split, photo) for photo in made.photos[split]]
            text = ''.join(f'{start}{name}\n' for name in names_of_images)
            write(root / f'{split}.txt', text)
    text = yaml.safe_dump(settings, allow_unicode=style.is_windows, sort_keys=False)
    write(root / 'data.yaml', text)


def make_voc(made: Made, photo: Photo) -> str:
    """Return the XML text of an image. Loosely written ones have no size, and other words."""
    is_loose = made.style.is_loose
    width, height = ('0', '0') if is_loose else (WIDTH, HEIGHT)
    words = ('Unspecified', 'True') if is_loose else ('0', '1')
    name = escape(photo.name.replace('\x0c', ''))  # XML has no form feeds
    text = f'<filename>{name}</filename>'
    text += f'<size><width>{width}</width><height>{height}</height></size>'
    for thing in photo.things:
        left, top, right, bottom = thing.box
        text += f'<object><name>{escape(thing.name)}</name>'
        text += f'<difficult>{words[thing.is_crowd]}</difficult>'
        text += f'<bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>'
        text += f'<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>'
    return f'<annotation>{text}</annotation>'


def write_voc(made: Made, root: Path) -> None:
    """Write an XML file for each image, and lists of names if the layout has them."""
    layout = made.layout
    for split, folder in made.folders.items():
        names = []
        for photo in made.photos[split]:
            path = root / f'{layout.annotations.format(split=folder)}{photo.stem}.xml'
            write(path, make_voc(made, photo))
            names.append(path.stem)
        if layout.lists:
            write(root / layout.lists / f'{split}.txt', ''.join(f'{name}\n' for name in names))
            write(root / layout.lists / f'cat_{split}.txt', 'a -1\n')


def write_maps(made: Made, root: Path) -> None:
    """Write a semantic map for each image, and the names of classes that have some."""
    if made.classes[0] != 'class 0':
        write(root / 'classes.txt', '\n'.join(made.classes))
    for split in made.folders:
        for photo in made.photos[split]:
            labels = Image.new('L', (WIDTH, HEIGHT), photo.label)
            if made.style.is_loose:
                labels.putpalette([0, 0, 0, 200, 90, 30] * 128)
            for thing in photo.things:
                labels.paste(made.classes.index(thing.name), thing.box)
            write(made.get_annotations(root, split) / f'{photo.stem}.png', labels)


# The functions that write annotations. Class folders have none.
WRITERS = {'coco': write_coco, 'yolo': write_yolo, 'voc': write_voc, 'maps': write_maps}
# The formats whose files have no order of classes
UNORDERED = ('classes', 'voc')
# How to write each declared layout.
LAYOUTS = {
    'coco': {
        'COCO 2017': Layout('{split}/', 'annotations/instances_{split}.json'),
        'CVAT and Datumaro (COCO)': Layout('images/{split}/', 'annotations/instances_{split}.json'),
        'CVAT until 2024, and Datumaro with merged images (COCO)': Layout(
            'images/{split} ', 'annotations/instances_{split}.json', file_names='{split} '
        ),
        'Roboflow and RF-DETR (COCO)': Layout('{split}/', '{split}/_annotations.coco.json'),
        "mmdet's configs (COCO)": Layout('{split}/', 'annotations/{split}.json'),
        "mmdet's configs (COCO), with a folder for images": Layout(
            'images/{split}/', 'annotations/{split}.json'
        ),
        'MMYOLO (COCO)': Layout(
            'images/{split} ', 'annotations/{split}.json', file_names='{split} '
        ),
        'Label Studio, labelme and VIA (COCO)': Layout(
            'images/{split} ', '{split}.json', file_names='images{slash}{split} '
        ),
        'Label Studio with brush masks (COCO)': Layout(
            'images/{split} ', '{split}.json', file_names='{split} '
        ),
        'FiftyOne (COCO)': Layout('data/{split} ', '{split}.json', file_names='{split} '),
    },
    'yolo': {
        'Ultralytics and FiftyOne (YOLO)': Layout(
            'images/{split}/', 'labels/{split}', source='images/{split}'
        ),
        'Roboflow (YOLO)': Layout('{split}/images/', '{split}/labels', source='../{split}/images'),
        'CVAT (Ultralytics YOLO)': Layout('images/{split}/', 'labels/{split}'),
        'labelImg (YOLO), with a data.yaml': Layout('{split}/', '{split}', source='./{split}'),
    },
    'voc': {
        'VOC2012, CVAT and labelme': Layout(
            'JPEGImages/{split} ', 'Annotations/{split} ', lists='ImageSets/Main'
        ),
        'Label Studio (VOC)': Layout('images/', 'Annotations/'),
        'FiftyOne (VOC)': Layout('data/', 'labels/'),
        'Roboflow (VOC)': Layout('{split}/', '{split}/'),
        'labelImg (VOC)': Layout(''),
    },
    'classes': {
        f'{class_folders.TOOLS}, with splits': Layout('{split}/{label}/'),
        class_folders.TOOLS: Layout('{label}/'),
    },
    'maps': {
        f'{layout.tools} {layout.images}': Layout(f'{layout.images}/', layout.annotations)
        for layout in maps.LAYOUTS
        if not layout.endings
    },
}
# The layouts of small examples.
EXAMPLES = {
    'coco': Layout('{split}/', 'annotations/{split}.json'),
    'yolo': Layout('images/', 'labels', source='images'),
    'voc': Layout('JPEGImages/', 'Annotations/', lists='ImageSets/Main'),
    'maps': Layout('images/{split}/', 'labels/{split}'),
    'classes': Layout('{split}/{label}/'),
}


def write_example(root: Path, data_format: str) -> None:
    """Write a dataset: a disc and a square on each image, four images to train and, but for YOLO,
    two to validate.
    """
    numbers = {'train': 6} if data_format == 'yolo' else {'train': 4, 'val': 2}
    make_example(data_format, EXAMPLES[data_format], numbers, is_textured=True).write(root)


def make_example(
    data_format: str, layout: Layout, numbers: dict[str, int], is_textured: bool = False
) -> Made:
    """Return a dataset of numbers of images by split.

    Segmentation maps have a background too, and no class names.
    """
    classes = ['class 0', 'class 1', 'class 2'] if data_format == 'maps' else ['disc', 'square']
    photos: dict[str, list[Photo]] = {split: [] for split in numbers}
    for number, split in enumerate(Counter(numbers).elements()):
        things = [
            Thing(classes[-2], (8, 10, 40, 42), data_format == 'coco'),
            Thing(classes[-1], (50, 20, 86, 60), data_format == 'coco'),
        ]
        label = number % 2 if data_format == 'classes' else 0
        photos[split].append(Photo(str(number), '.jpg', number, things, label, is_textured))
    folders = {split: split for split in photos}
    return Made(data_format, layout, photos, folders, classes)


# Styles without faults.
VALID_STYLES = st.builds(
    Style,
    is_loose=st.booleans(),
    is_windows=st.booleans(),
    has_names_by_index=st.booleans(),
    has_empty_files=st.booleans(),
    has_clutter=st.booleans(),
    has_big_ids=st.booleans(),
)


@st.composite
def make_datasets(draw: st.DrawFn) -> Made:
    """Draw a dataset of any format and layout: the same stems in several splits, and no, one or
    many objects.
    """
    data_format = draw(st.sampled_from([*LAYOUTS]))
    layout = draw(st.sampled_from([*LAYOUTS[data_format].values()]))
    has_splits = '{split}' in layout.images
    style = draw(VALID_STYLES)
    names = [name for name in CLASSES if has_splits or get_split(name) is None]
    classes = draw(st.lists(st.sampled_from(names), min_size=2, max_size=4, unique=True))
    splits = [*SPLIT_NAMES][: draw(st.integers(1, 3)) if has_splits else 1]
    folders = {split: draw(st.sampled_from(SPLIT_NAMES[split])) for split in splits}
    if data_format == 'maps' and style.has_names_by_index:
        classes = [f'class {index}' for index in range(len(classes))]
    with_masks = data_format in ('coco', 'yolo') and draw(st.booleans())
    are_crowds = st.booleans() if data_format in ('coco', 'voc') else st.just(False)
    photos = {}
    number = 0
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
                left = draw(st.integers(0, WIDTH - 3))
                top = draw(st.integers(0, HEIGHT - 3))
                right = draw(st.integers(left + 2, WIDTH))
                bottom = draw(st.integers(top + 2, HEIGHT))
                name = classes[index % len(classes)] if i == 0 else draw(st.sampled_from(classes))
                is_crowd = i > 0 and draw(are_crowds)
                things.append(Thing(name, (left, top, right, bottom), with_masks, is_crowd))
            suffix = draw(st.sampled_from(['.png', '.jpg', '.JPG', '.jpeg', '.webp', '.bmp']))
            photos[split].append(Photo(stem, suffix, number, things, index % len(classes)))
            number += 1
    return Made(data_format, layout, photos, folders, classes, style)
