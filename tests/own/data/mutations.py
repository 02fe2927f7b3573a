"""The table of faults of data: each changes a valid dataset, and says which rule that breaks.

A generator that knows the truth (``formats/made.py``) makes a valid dataset of each format. A
mutation changes it before it is written, or changes the files of an image, or of all. It names the
rule that it breaks, or the sentence with which the dataset is rejected before rules are asked, and
the places where it can occur. ``test_rules.py`` tries each mutation in each split, for each command,
and fails if a rule, a split, a task or a command has neither a mutation nor a reason. Folders that
no format reads are in ``misfits.py``.
"""

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from docs.drawings.data_pages import RULES
from mmgcvit.datasets.rules import coco, images, objects
from mmgcvit.datasets.rules.rule import Rule
from mmgcvit.own.data.rules import classes, copies, judge, origins
from mmgcvit.own.data.rules import images as folder_images
from mmgcvit.own.data.rules import objects as folder_objects
from mmgcvit.own.data.rules import parsing as parsed

from .formats.made import (
    HEIGHT,
    WIDTH,
    Layout,
    Made,
    Photo,
    encode_box,
    make_example,
    mark_as_rotated,
    write,
)

# One photo is under a tenth of those of a split. Three are above it, and under a tenth of all.
NUMBERS = {'train': 11, 'val': 11, 'test': 11}
SPLITS = tuple(NUMBERS)
# What reads the data: train --data and check-data of a folder, and all commands of a config.
FOLDER = 'folder'
CONFIG = 'config'


@dataclass(frozen=True)
class Place:
    """Where a mutation can occur: a dataset of a format, read for a task from a folder, or as the
    files of a config.
    """

    data_format: str  # a key of FORMATS
    task: str  # a value of --task
    reader: str = FOLDER

    def __str__(self) -> str:
        return f'{self.data_format}-{self.task}-{self.reader}'


@dataclass(frozen=True)
class WrittenFormat:
    """How the generator writes a format, and the file of an image's label, for ``{split}`` and
    ``{stem}``.
    """

    layout: Layout
    label: str
    writer: str = ''  # the format's name in the generator, if it is another one


FORMATS = {
    'coco': WrittenFormat(
        Layout('{split}/', 'annotations/{split}.json'), 'annotations/{split}.json'
    ),
    'yolo': WrittenFormat(
        Layout('images/{split}/', 'labels/{split}', source='images/{split}'),
        'labels/{split}/{stem}.txt',
    ),
    'voc': WrittenFormat(Layout('{split}/', '{split}/'), '{split}/{stem}.xml'),
    'lists': WrittenFormat(
        Layout('JPEGImages/', 'Annotations/', lists='ImageSets/Main'),
        'ImageSets/Main/{split}.txt',
        writer='voc',
    ),
    'classes': WrittenFormat(Layout('{split}/{label}/'), 'none'),
    'maps': WrittenFormat(Layout('images/{split}/', 'labels/{split}'), 'labels/{split}/{stem}.png'),
}
ChangePhoto = Callable[[Made, Photo], None]
ChangeFiles = Callable[[Path, Path], object]  # of an image and its label


@dataclass(frozen=True)
class Mutation:
    """A fault, which a change makes. One of the changes is given."""

    breaks: Rule
    places: Collection[Place]
    # Changes the dataset before it is written, by one of its photos.
    change_photo: ChangePhoto | None = None
    # Changes the files of one image. In a config, the second is the annotation file.
    change_files: ChangeFiles | None = None
    splits: Collection[str] = SPLITS  # in which it breaks the rule

    @property
    def name(self) -> str:
        """The name of the change, for the ids of tests."""
        change = self.change_photo or self.change_files
        return getattr(change, '__qualname__', 'change').split('.')[0]


def write_dataset(
    data_format: str, mutation: Mutation, number: int, root: Path, split: str
) -> list[tuple[Path, Path]]:
    """Write a dataset in which photos of a split break a rule, or whose files will.

    Return the image and the label of each of these photos.
    """
    written = FORMATS[data_format]
    made = make_example(written.writer or data_format, written.layout, NUMBERS)
    photos = made.photos[split][:number]
    if mutation.change_photo:
        for photo in photos:
            mutation.change_photo(made, photo)
    made.write(root)
    return [
        (
            root / made.get_name(split, photo),
            root / written.label.format(split=split, stem=photo.stem),
        )
        for photo in photos
    ]


# Changes of files


def edit_all(change: Callable[[dict[str, Any], str], object]) -> ChangeFiles:
    """Return a change of the content of a COCO file, by the stem of an image."""

    def edit_coco_file(image: Path, label: Path) -> None:
        content = json.loads(label.read_text())
        change(content, image.stem)
        label.write_text(json.dumps(content))

    return edit_coco_file


def edit_coco(name: str, **changes: Any) -> ChangeFiles:
    """Return a change of the entries of an image in a COCO file's list."""

    def edit(content: dict[str, Any], stem: str) -> None:
        for image in content['images']:
            if Path(image['file_name']).stem != stem:
                continue
            for entry in content[name]:
                if entry.get('image_id', entry['id']) == image['id']:
                    entry.update(changes)

    return edit_all(edit)


def edit_text(old: str, new: str) -> ChangeFiles:
    """Return a change of the first match of a pattern in a label."""

    def edit_label(image: Path, label: Path) -> None:
        label.write_text(re.sub(old, new, label.read_text(), count=1))

    return edit_label


def write_map(labels: ArrayLike) -> ChangeFiles:
    """Return a change that writes another map."""

    def write_other_map(image: Path, label: Path) -> None:
        write(label, np.asarray(labels).astype(np.uint8))

    return write_other_map


def cut(image: Path, label: Path) -> None:
    image.write_bytes(image.read_bytes()[:-20])


def write_strip(image: Path, label: Path) -> None:
    Image.new('RGB', (400, 1)).save(image, 'PNG')


def write_page(image: Path, label: Path) -> None:
    image.write_text('<html>404</html>')


def write_pages(image: Path, label: Path) -> None:
    page = Image.open(image).convert('L')
    page.save(image, 'TIFF', save_all=True, append_images=[page])


def write_dark(image: Path, label: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH), 900, np.uint16)).save(image, 'PNG')


def rename_files(image: Path, label: Path) -> None:
    image.rename(image.with_stem(f'{image.stem}\t'))
    if label.exists():
        label.rename(label.with_stem(f'{label.stem}\t'))


def rotate(image: Path, label: Path) -> None:
    mark_as_rotated(image)


def rotate_with_boxes(image: Path, label: Path) -> None:
    """Give an image an EXIF rotation, and its objects boxes of the rotated image."""
    mark_as_rotated(image)
    edit = edit_coco('annotations', bbox=[8, 60, 20, 30], area=600, segmentation=None)
    edit(image, label)


def write_corners(content: dict[str, Any], stem: str) -> None:
    """Write all boxes as two corners, once. Their masks are right."""
    for entry in content['annotations']:
        x, y, width, height = entry.setdefault('before', entry['bbox'])
        entry['bbox'] = [x, y, x + width, y + height]


def repeat_first_object(count: int) -> ChangeFiles:
    """Return a change that adds copies of the first object of a COCO file, with ids of their own."""

    def repeat(content: dict[str, Any], stem: str) -> None:
        annotations = content['annotations']
        first_id = max(entry['id'] for entry in annotations) + 1
        for number in range(count):
            annotations.append({**annotations[0], 'id': first_id + number})

    return edit_all(repeat)


def write_fractions(image: Path, label: Path) -> None:
    """Write fractions into all XML files."""
    for file in label.parent.glob('*.xml'):
        text = file.read_text()
        file.write_text(re.sub(r'<xmax>(\d+)<', r'<xmax>\1.25<', text))


def append_line(image: Path, label: Path) -> None:
    label.write_text(f'{label.read_text()}no {image.stem}\n')


def empty_label(image: Path, label: Path) -> None:
    label.write_text('')


def unlink(image: Path, label: Path) -> None:
    image.unlink()


def move_label_beside(image: Path, label: Path) -> None:
    label.rename(image.with_suffix('.txt'))


# Changes of a dataset before it is written


def copy_to_val(made: Made, photo: Photo) -> None:
    made.photos['val'].append(replace(photo, stem=f'copy {photo.stem}'))


def copy_to_test(made: Made, photo: Photo) -> None:
    made.photos['test'].append(replace(photo, stem=f'copy {photo.stem}'))


def repeat_photo(made: Made, photo: Photo) -> None:
    for photos in made.photos.values():
        if photo in photos:
            photos.append(replace(photo, stem=f'copy {photo.stem}'))


def share_held_out(made: Made, photo: Photo) -> None:
    made.photos['test'].append(replace(made.photos['val'][0], stem='shared'))


def rename_photos(made: Made, make_stem: Callable[[int, int], str]) -> None:
    """Rename all photos by the index of their split and their own in it."""
    for split_index, photos in enumerate(made.photos.values()):
        for index, photo in enumerate(photos):
            photo.stem = make_stem(split_index, index)


def name_frames(made: Made, photo: Photo) -> None:
    """Frames of one clip, which are in the splits by turns."""
    rename_photos(made, lambda split, index: f'clip_{3 * index + split:03}')


def name_tiles(made: Made, photo: Photo) -> None:
    """Tiles of the same pictures in each split."""
    rename_photos(made, lambda split, index: f'{chr(97 + index)}_row{split}_col1')


def name_copies(made: Made, photo: Photo) -> None:
    """Roboflow's augmented copies of the same pictures in each split."""
    rename_photos(made, lambda split, index: f'{chr(97 + index)}_jpg.rf.{SPLITS[split]}')


def make_contradicting_copy(made: Made, photo: Photo) -> Photo:
    """Return a copy of a photo with another class, and fewer objects."""
    label = (photo.label + 1) % len(made.classes)
    return replace(photo, stem=f'copy {photo.stem}', things=photo.things[:1], label=label)


def contradict(made: Made, photo: Photo) -> None:
    copy = make_contradicting_copy(made, photo)
    for photos in made.photos.values():
        if photo in photos:
            photos.append(copy)


def contradict_in_another_split(made: Made, photo: Photo) -> None:
    is_in_val = photo in made.photos['val']
    original = made.photos['train'][0] if is_in_val else photo
    made.photos['val'].append(make_contradicting_copy(made, original))


def repeat_thing(made: Made, photo: Photo) -> None:
    """Repeat an object. Where boxes are fractions or corners, tools write them with an error."""
    shift = 0 if made.format == 'coco' else 0.01
    left, top, right, bottom = photo.things[0].box
    box = (left + shift, top + shift, right + shift, bottom + shift)
    photo.things.append(photo.things[0]._replace(box=box))


def add_class(made: Made, photo: Photo) -> None:
    """Add a class, of which one validation image has an object."""
    if 'x' not in made.classes:
        made.classes.append('x')
    other = made.photos['val'][0]
    other.label = made.classes.index('x')
    other.things[0] = other.things[0]._replace(name='x')


def keep_few(made: Made, photo: Photo) -> None:
    """Each split has eleven photos, which are few already."""


def set_box(*box: float) -> ChangePhoto:
    """Return a change of the box [left, top, right, bottom] of a photo's first object."""

    def set_first_box(made: Made, photo: Photo) -> None:
        photo.things[0] = photo.things[0]._replace(box=box)

    return set_first_box


def write_masks_as_boxes(made: Made, photo: Photo) -> None:
    made.style = replace(made.style, masks_are_boxes=True)


def write_masks_as_crowds(made: Made, photo: Photo) -> None:
    made.style = replace(made.style, masks_are_crowds=True)


def name_alike(made: Made, photo: Photo) -> None:
    made.classes[:] = ['disc', 'Disc']
    for other in chain.from_iterable(made.photos.values()):
        other.things[1] = other.things[1]._replace(name='Disc')


BOX = [8, 10, 32, 32]
# A mask with an inner polygon. It has the area of a ring.
RING = [[8, 10, 40, 10, 40, 42, 8, 42], [12, 14, 22, 14, 22, 24, 12, 24]]
OTHER_PLACE = [60, 40, 90, 40, 90, 70, 60, 70]  # a polygon unlike the boxes
SMALL_MAP = np.zeros((5, 6))
HIGH_MAP = np.full((HEIGHT, WIDTH), 9)
ALL_NUMBERS = np.resize(np.arange(256), (HEIGHT, WIDTH))
SPOTS = np.pad(np.ones((4, 4)), ((2, 66), (2, 90)))
SPOTS += SPOTS[::-1, ::-1]
WITH_VOID = np.zeros((HEIGHT, WIDTH))
WITH_VOID[2:20, 2:20] = 1
WITH_VOID[40:60, 40:60] = 255
TRACK = '<attribute><name>track_id</name><value>3</value></attribute>'
TURNED = {'attributes': {'rotation': 90.0}}
CROWD = {'bbox': BOX, 'segmentation': encode_box(BOX), 'iscrowd': 1}

# Places, by the formats that share them
COCO_MASKS = Place('coco', 'segment')
COCO_BOXES = Place('coco', 'detect')
COCO_CONFIGS = (Place('coco', 'segment', CONFIG), Place('coco', 'detect', CONFIG))
COCO = (COCO_MASKS, COCO_BOXES, *COCO_CONFIGS)
MASKED = (COCO_MASKS, COCO_CONFIGS[0])
YOLO = Place('yolo', 'detect')
VOC = Place('voc', 'detect')
LISTS = Place('lists', 'detect')
BOXED = (COCO_MASKS, COCO_BOXES, YOLO, VOC)
CLASSES = Place('classes', 'classify')
CLASSES_CONFIG = Place('classes', 'classify', CONFIG)
SEMANTIC = Place('maps', 'semantic')
INSTANCES = Place('maps', 'segment')
MAPS = (SEMANTIC, INSTANCES)
MAPS_CONFIG = Place('maps', 'semantic', CONFIG)
CONFIGS = (*COCO_CONFIGS, MAPS_CONFIG, CLASSES_CONFIG)
ALL = (*BOXED, CLASSES, *MAPS)
IMAGES = (*BOXED, CLASSES, *CONFIGS)
EVERYWHERE = (*ALL, *CONFIGS)


def by_photo(
    rule: Rule, change: ChangePhoto, *places: Place, splits: Collection[str] = SPLITS
) -> Mutation:
    return Mutation(rule, places, change_photo=change, splits=splits)


def by_files(
    rule: Rule, change: ChangeFiles, *places: Place, splits: Collection[str] = SPLITS
) -> Mutation:
    return Mutation(rule, places, change_files=change, splits=splits)


MUTATIONS = (
    by_files(folder_images.UNUSABLE_NAME, rename_files, CLASSES, YOLO, SEMANTIC),
    by_files(images.MISSING, unlink, *COCO, MAPS_CONFIG, CLASSES_CONFIG),
    by_files(images.UNREADABLE, write_page, *IMAGES),
    by_files(images.UNREADABLE, cut, *EVERYWHERE),
    by_files(images.UNREADABLE, write_strip, *IMAGES),
    by_files(images.BIT_DEPTH, write_dark, *EVERYWHERE),
    by_files(images.PAGES, write_pages, *EVERYWHERE),
    by_files(images.OTHER_SIZE, edit_coco('images', width=7), *COCO),
    by_files(images.OTHER_SIZE, edit_text(r'<width>\d+', '<width>7'), VOC),
    by_files(images.OTHER_SIZE, write_map(SMALL_MAP), MAPS_CONFIG),
    by_files(images.OTHER_SIZE, rotate, *COCO_CONFIGS),
    by_files(judge.ROTATED_BOXES, rotate_with_boxes, COCO_BOXES),
    by_photo(copies.REPEATED_IMAGES, repeat_photo, *ALL),
    by_photo(copies.CONTRADICTIONS, contradict, *ALL),
    by_photo(copies.SHARED_IMAGES, copy_to_val, *ALL, splits=('train',)),
    by_photo(copies.SHARED_IMAGES, copy_to_test, *ALL, splits=('train',)),
    by_photo(copies.SHARED_HELD_OUT, share_held_out, *ALL),
    by_photo(copies.SHARED_CONTRADICTIONS, contradict_in_another_split, *ALL),
    by_photo(copies.DIVIDED_FRAMES, name_frames, *ALL),
    by_photo(copies.DIVIDED_TILES, name_tiles, *ALL),
    by_photo(copies.DIVIDED_COPIES, name_copies, *ALL),
    by_photo(objects.REPEATED_OBJECTS, repeat_thing, *BOXED),
    by_files(objects.REPEATED_OBJECTS, repeat_first_object(1), *COCO_CONFIGS),
    by_files(objects.NOT_FINITE, edit_coco('annotations', bbox=[1, 2, None, 4]), *COCO),
    by_photo(objects.OUTSIDE, set_box(90, 60, 130, 90), *BOXED),
    by_files(objects.OUTSIDE, edit_coco('annotations', bbox=[90, 60, 30, 30]), *COCO_CONFIGS),
    by_photo(objects.NO_AREA, set_box(8, 10, 8.5, 42), *BOXED),
    by_files(objects.NO_AREA, edit_coco('annotations', area=0), *COCO),
    by_files(objects.NO_MASK, edit_coco('annotations', segmentation='x'), *MASKED),
    by_files(objects.FEW_POINTS, edit_coco('annotations', segmentation=[[1, 2, 3, 4]]), *MASKED),
    by_files(objects.DIFFERENT, edit_coco('annotations', segmentation=[OTHER_PLACE]), *MASKED),
    by_files(
        objects.RING, edit_coco('annotations', bbox=BOX, segmentation=RING, area=924), *MASKED
    ),
    by_files(objects.FULL_IMAGES, repeat_first_object(120), *COCO_CONFIGS),
    by_files(objects.CORNER_BOXES, edit_all(write_corners), *COCO),
    by_files(
        folder_objects.TURNED_BOXES,
        edit_coco('annotations', segmentation=None, **TURNED),
        COCO_BOXES,
    ),
    by_files(objects.TURNED_IN_CONFIG, edit_coco('annotations', **TURNED), *COCO_CONFIGS),
    by_photo(folder_objects.BOX_MASKS, write_masks_as_boxes, COCO_MASKS),
    by_photo(folder_objects.BRUSH_MASKS, write_masks_as_crowds, COCO_MASKS),
    by_files(
        folder_objects.TRACK_IDS, edit_coco('annotations', attributes={'track_id': 3}), COCO_MASKS
    ),
    by_files(folder_objects.TRACK_IDS, edit_coco('annotations', track_id=3), COCO_MASKS),
    by_files(folder_objects.TRACK_IDS, edit_text('</object>', f'{TRACK}</object>'), VOC),
    by_files(folder_objects.CROWD_MASKS, edit_coco('annotations', **CROWD), COCO_MASKS),
    by_files(coco.UNLISTED, edit_coco('annotations', image_id=-1), *COCO),
    by_files(coco.WRONG_FLAGS, edit_coco('annotations', iscrowd=2), *COCO),
    by_files(coco.WRONG_FLAGS, edit_coco('annotations', iscrowd=[0]), COCO_MASKS, COCO_BOXES),
    by_files(
        coco.NOT_COCO, edit_all(lambda content, stem: content['images'][0].pop('width', 0)), *COCO
    ),
    by_files(coco.DUPLICATE_IDS, edit_coco('images', id=3), *COCO),
    by_files(
        coco.OTHER_CATEGORIES,
        edit_all(lambda content, stem: content['categories'].reverse()),
        *COCO_CONFIGS,
    ),
    by_files(coco.NO_SIZE, edit_coco('images', height='9'), *COCO_CONFIGS),
    by_files(
        coco.NO_OBJECTS,
        edit_all(lambda content, stem: content['annotations'].clear()),
        *COCO,
        splits=('train',),
    ),
    by_files(images.NO_IMAGES, empty_label, CLASSES_CONFIG),
    by_files(images.OTHER_LABELS, edit_text(' 1\n', ' 7\n'), CLASSES_CONFIG),
    by_files(images.OTHER_LABELS, write_map(HIGH_MAP), MAPS_CONFIG, SEMANTIC),
    by_files(images.NO_MAP, empty_label, MAPS_CONFIG),
    by_photo(classes.CLASS_NAMES, name_alike, *BOXED),
    by_photo(classes.MISSING_CLASSES, add_class, *BOXED, SEMANTIC, splits=('train',)),
    by_photo(classes.FEW_SCORED, keep_few, *ALL),
    by_files(parsed.WRONG_LINES, edit_text('^0', '7'), YOLO),
    by_files(parsed.UNUSED_LABELS, unlink, YOLO),
    by_files(parsed.MISPLACED_LABELS, move_label_beside, YOLO),
    by_files(parsed.ZERO_BASED, edit_text(r'<xmin>\d+', '<xmin>0'), VOC),
    by_files(parsed.FRACTIONS, write_fractions, VOC),
    by_files(parsed.WRONG_OBJECTS, edit_text('<name>disc', '<name>'), VOC),
    by_files(parsed.UNUSABLE_XML, unlink, VOC),
    by_files(parsed.UNUSABLE_XML, edit_text('<annotation>', ''), VOC),
    by_files(parsed.UNKNOWN_LINES, append_line, LISTS),
    by_files(parsed.UNPAIRED, unlink, *MAPS),
    by_files(parsed.UNUSABLE_MAPS, write_map(SMALL_MAP), *MAPS),
    by_files(parsed.UNUSABLE_MAPS, write_page, *MAPS),
    by_files(parsed.UNUSABLE_MAPS, write_map(ALL_NUMBERS), INSTANCES),
    by_files(parsed.UNUSABLE_MAPS, write_map(255 * (HIGH_MAP > 0)), INSTANCES),
    by_files(parsed.SCATTERED, write_map(SPOTS), INSTANCES),
    by_files(parsed.VOID_NUMBERS, write_map(WITH_VOID), INSTANCES),
)
# What messages say where it is not the rule's problem.
WORDS = {
    classes.CLASS_NAMES: ['equal but for case'],
    classes.MISSING_CLASSES: ['no training image has '],
    classes.FEW_SCORED: ['so its scores are rough'],
    coco.DUPLICATE_IDS: ['several images or categories with the id 3', coco.DUPLICATE_IDS.problem],
    images.OTHER_LABELS: ['have the values', images.OTHER_LABELS.problem],
}


def says(rule: Rule, text: str) -> bool:
    """Return whether a text names what breaks a rule."""
    return any(words in text for words in WORDS.get(rule, [rule.problem]))


# Why a rule is broken by no mutation in some places


@dataclass(frozen=True)
class Reason:
    """Why rules cannot be broken, or are not looked for, in some cells of the table."""

    text: str
    rules: Collection[Rule]
    tasks: Collection[str] = ()  # empty: all
    splits: Collection[str] = SPLITS
    readers: Collection[str] = (FOLDER, CONFIG)

    def covers(self, rule: Rule, split: str, task: str, reader: str) -> bool:
        is_task = not self.tasks or task in self.tasks
        return rule in self.rules and is_task and split in self.splits and reader in self.readers


HELD_OUT = ('val', 'test')
OBJECT_TASKS = ('detect', 'segment')
OBJECT_RULES = (
    objects.REPEATED_OBJECTS,
    objects.NOT_FINITE,
    objects.OUTSIDE,
    objects.NO_AREA,
    objects.NO_MASK,
    objects.FEW_POINTS,
    objects.DIFFERENT,
    objects.RING,
    objects.FULL_IMAGES,
    objects.CORNER_BOXES,
    folder_objects.TURNED_BOXES,
    objects.TURNED_IN_CONFIG,
    folder_objects.BOX_MASKS,
    folder_objects.BRUSH_MASKS,
    folder_objects.CROWD_MASKS,
    folder_objects.TRACK_IDS,
    judge.ROTATED_BOXES,
)
MASK_RULES = (
    objects.NO_MASK,
    objects.FEW_POINTS,
    objects.DIFFERENT,
    objects.RING,
    folder_objects.BOX_MASKS,
    folder_objects.BRUSH_MASKS,
    folder_objects.CROWD_MASKS,
)
COCO_RULES = (
    coco.NOT_COCO,
    coco.UNLISTED,
    coco.WRONG_FLAGS,
    coco.DUPLICATE_IDS,
    coco.OTHER_CATEGORIES,
    coco.OTHER_ANNOTATIONS,
    coco.NO_SIZE,
    coco.NO_OBJECTS,
)
BOX_FORMAT_RULES = (
    parsed.WRONG_LINES,
    parsed.UNUSED_LABELS,
    parsed.MISPLACED_LABELS,
    parsed.WRONG_OBJECTS,
    parsed.ZERO_BASED,
    parsed.FRACTIONS,
    parsed.UNUSABLE_XML,
    parsed.UNKNOWN_LINES,
)
MAP_RULES = (parsed.UNPAIRED, parsed.UNUSABLE_MAPS, parsed.SCATTERED, parsed.VOID_NUMBERS)
INSTANCE_RULES = (parsed.SCATTERED, parsed.VOID_NUMBERS)
CONFIG_ONLY = tuple(rule for rule in RULES if not rule.in_folder)
FOLDER_ONLY = {
    copies.SHARED_IMAGES: 'a config names its images, and the run trains those',
    copies.REPEATED_IMAGES: 'a config may repeat images on purpose',
    copies.CONTRADICTIONS: 'a config may list images with parts of their objects, for parts of classes',
    copies.SHARED_HELD_OUT: 'a template without test data tests on those of validation',
    copies.SHARED_CONTRADICTIONS: 'the authors of a config have chosen its splits',
    copies.DIVIDED_FRAMES: 'the authors of a config have chosen its splits',
    copies.DIVIDED_TILES: 'the authors of a config have chosen its splits',
    copies.DIVIDED_COPIES: 'the authors of a config have chosen its splits',
    classes.MISSING_CLASSES: 'a config may have more classes than its data, for example of COCO',
    classes.FEW_SCORED: 'a summary line counts images and objects of each dataset',
    classes.CLASS_NAMES: "a config's own classes must be those of its file, in order",
    origins.UNCORRECTED: 'a config names its labels',
    origins.PSEUDO_LABELS: 'a config names its labels',
    origins.CORRECTED_ELSEWHERE: 'a config names its labels',
    judge.ROTATED_BOXES: 'by their size before the rotation, boxes are outside: OUTSIDE is asked',
    folder_objects.BOX_MASKS: 'a config sets what it trains',
    folder_objects.BRUSH_MASKS: 'files are read as they are, not copied with another iscrowd',
    folder_objects.CROWD_MASKS: 'a summary line counts ignored objects',
    folder_images.UNUSABLE_NAME: 'a list that cannot have the name lacks the image: MISSING is asked',
    parsed.WRONG_LINES: 'no config reads YOLO',
    parsed.UNUSED_LABELS: 'no config reads YOLO',
    parsed.MISPLACED_LABELS: 'no config reads YOLO',
    parsed.WRONG_OBJECTS: 'no config reads VOC',
    parsed.ZERO_BASED: 'no config reads VOC',
    parsed.UNUSABLE_XML: 'no config reads VOC',
    parsed.UNKNOWN_LINES: 'no config reads VOC',
    parsed.FRACTIONS: 'no config reads VOC',
    parsed.UNPAIRED: 'a config lists its pairs: MISSING is asked',
    parsed.UNUSABLE_MAPS: 'NO_MAP, OTHER_SIZE and OTHER_LABELS are asked',
    parsed.SCATTERED: 'no config reads maps of instances',
    parsed.VOID_NUMBERS: 'no config reads maps of instances',
    folder_objects.TRACK_IDS: 'mmdet ignores keys that it does not know',
    folder_objects.TURNED_BOXES: 'boxes are read as they are: TURNED_IN_CONFIG is asked',
}
REASONS = (
    *(Reason(text, (rule,), readers=(CONFIG,)) for rule, text in FOLDER_ONLY.items()),
    Reason('the reader orders, sizes or rejects what it writes', CONFIG_ONLY, readers=(FOLDER,)),
    Reason(
        'only predict --labels writes such folders: test_origins',
        (origins.UNCORRECTED, origins.PSEUDO_LABELS, origins.CORRECTED_ELSEWHERE),
        readers=(FOLDER,),
    ),
    Reason(
        'images and maps have no objects',
        (*OBJECT_RULES, *COCO_RULES, *BOX_FORMAT_RULES),
        tasks=('semantic', 'classify'),
    ),
    Reason('boxes have no masks', MASK_RULES, tasks=('detect',)),
    Reason('maps are for pixels or instances', MAP_RULES, tasks=('classify', 'detect')),
    Reason('maps of classes have no instances', INSTANCE_RULES, tasks=('semantic',)),
    Reason(
        'YOLO and VOC are tried for boxes; masks share the reader', BOX_FORMAT_RULES, ('segment',)
    ),
    Reason(
        'masks of rotated photos leave the image: OUTSIDE', (judge.ROTATED_BOXES,), ('segment',)
    ),
    Reason(
        'a rotated rectangle beside masks becomes a mask: test_formats_contradictions',
        (folder_objects.TURNED_BOXES,),
        ('segment',),
    ),
    Reason(
        'class folders have no list of names, and no empty classes',
        (classes.CLASS_NAMES, classes.MISSING_CLASSES),
        ('classify',),
    ),
    Reason(
        'class names of maps are read from a file: test_formats',
        (classes.CLASS_NAMES,),
        ('semantic',),
    ),
    Reason(
        'names of files of objects are in COCO and VOC as text; those of YOLO are tried',
        (folder_images.UNUSABLE_NAME,),
        ('segment',),
    ),
    Reason(
        'readers list files that exist',
        (images.MISSING,),
        ('semantic', 'classify'),
        readers=(FOLDER,),
    ),
    Reason('class folders have no sizes', (images.OTHER_SIZE,), ('classify',)),
    Reason(
        'maps of another size are UNUSABLE_MAPS',
        (images.OTHER_SIZE,),
        ('semantic',),
        readers=(FOLDER,),
    ),
    Reason('only labels of pixels and images are numbers', (images.OTHER_LABELS,), OBJECT_TASKS),
    Reason(
        'the classes of class folders are their names',
        (images.OTHER_LABELS,),
        ('classify',),
        readers=(FOLDER,),
    ),
    Reason(
        'COCO files and pairs of maps have rules of their own',
        (images.NO_IMAGES,),
        ('detect', 'segment', 'semantic'),
    ),
    Reason('only semantic maps are read', (images.NO_MAP,), ('detect', 'segment', 'classify')),
    Reason(
        'class folders and heads in another order or number: test_checks',
        (images.OTHER_ORDER, images.OTHER_NUM_CLASSES, coco.OTHER_ANNOTATIONS),
    ),
    Reason(
        'images stay in validation and test, and leave training',
        (copies.SHARED_IMAGES,),
        splits=HELD_OUT,
    ),
    Reason(
        'a class without training images is planted; the others: test_hold_out',
        (classes.MISSING_CLASSES,),
        splits=HELD_OUT,
    ),
    Reason(
        'images without objects may be scored: all that is found is false',
        (coco.NO_OBJECTS,),
        splits=HELD_OUT,
    ),
)
