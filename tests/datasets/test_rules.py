"""Each rule of the list holds for each format and task, in a folder and in a config: one table."""

import json
import re
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from docs.drawings.data_pages import RULES
from mmgcvit.datasets.formats import read_folder
from mmgcvit.datasets.rules import classes, coco, copies, images, judge, objects
from mmgcvit.datasets.rules import parsing as parsed
from mmgcvit.datasets.rules.classes import find_few_scored, find_missing_classes
from mmgcvit.datasets.rules.rule import ConfigEffect, FolderEffect, format_findings
from mmgcvit.errors import UserError
from mmgcvit.own_data.config import make_config

from .checks.made import check
from .formats.made import HEIGHT, WIDTH, encode_box, make_example, mark_as_rotated, write

# The layout of each format, and the annotation file of a training image.
FORMATS = {
    'coco': (('{}/', 'annotations/{}.json'), 'annotations/train.json'),
    'yolo': (('images/{}/', 'labels/{}', 'images/{}'), 'labels/train/{}.txt'),
    'voc': (('{}/', '{}/'), 'train/{}.xml'),
    'lists': (('JPEGImages/', 'Annotations/', 'ImageSets/Main'), 'ImageSets/Main/train.txt'),
    'classes': (('{}/{label}/',), 'none'),
    'maps': (('images/{}/', 'labels/{}'), 'labels/train/{}.png'),
}
# One photo is under a tenth of those of a split. Three are above it, and under a tenth of all.
NUMBERS = {'train': 11, 'val': 11, 'test': 11}


def edit_all(change):
    """Return a function that changes the content of a COCO file by an image."""

    def edit(image, label):
        content = json.loads(label.read_text())
        change(content, image.stem)
        label.write_text(json.dumps(content))

    return edit


def edit_coco(name, **changes):
    """Return a function that changes the entries of an image in a COCO file's list."""

    def edit(content, stem):
        for image in content['images']:
            for entry in content[name] if Path(image['file_name']).stem == stem else ():
                if entry.get('image_id', entry['id']) == image['id']:
                    entry.update(changes)

    return edit_all(edit)


def edit_text(old, new):
    return lambda image, label: label.write_text(re.sub(old, new, label.read_text(), count=1))


def write_map(labels):
    return lambda image, label: write(label, labels.astype(np.uint8))


def cut(image, label):
    image.write_bytes(image.read_bytes()[:-20])


def write_strip(image, label):
    Image.new('RGB', (400, 1)).save(image, 'PNG')


def write_page(image, label):
    image.write_text('<html>404</html>')


def rename(image, label):
    image.rename(image.with_stem(f'{image.stem}\t'))
    if label.exists():
        label.rename(label.with_stem(f'{label.stem}\t'))


def mark_only(image, label):
    mark_as_rotated(image)


def rotate(image, label):
    """Give an image an EXIF rotation, and its objects boxes of the rotated image."""
    mark_as_rotated(image)
    edit_coco('annotations', bbox=[8, 60, 20, 30], area=600, segmentation=None)(image, label)


def change_photos(change):
    """Return a function that changes a dataset before it is written, by a training photo."""
    change.is_before = True
    return change


@change_photos
def copy_to_val(made, photo):
    made.photos['val'].append(replace(photo, stem=f'copy {photo.stem}'))


@change_photos
def repeat_photo(made, photo):
    for photos in made.photos.values():
        if photo in photos:
            photos.append(replace(photo, stem=f'copy {photo.stem}'))


@change_photos
def share_held_out(made, photo):
    made.photos['test'].append(replace(made.photos['val'][0], stem='shared'))


def rename_photos(make_stem):
    """Return a change of all stems, by the split and the position of a photo in it."""

    @change_photos
    def rename(made, photo):
        for split, photos in made.photos.items():
            for index, each in enumerate(photos):
                each.stem = make_stem(split, index)

    return rename


def name_frame(split, index):
    """Frames of one clip, which are in the splits by turns."""
    return f'clip_{3 * index + [*NUMBERS].index(split):03}'


def name_tile(split, index):
    return f'{chr(97 + index)}_row{[*NUMBERS].index(split)}_col1'


def name_copy(split, index):
    return f'{chr(97 + index)}_jpg.rf.{split}'


@change_photos
def contradict(made, photo):
    label = (photo.label + 1) % len(made.classes)
    copy = replace(photo, stem=f'copy {photo.stem}', things=photo.things[:1], label=label)
    for photos in made.photos.values():
        if photo in photos:
            photos.append(copy)


@change_photos
def contradict_in_val(made, photo):
    if photo in made.photos['val']:
        photo = made.photos['train'][0]
    label = (photo.label + 1) % len(made.classes)
    copy = replace(photo, stem=f'copy {photo.stem}', things=photo.things[:1], label=label)
    made.photos['val'].append(copy)


@change_photos
def repeat_thing(made, photo):
    box = tuple(side + 0.01 * (made.format != 'coco') for side in photo.things[0].box)
    photo.things.append(photo.things[0]._replace(box=box))


@change_photos
def add_class(made, photo):
    if 'x' not in made.classes:
        made.classes.append('x')
    other = made.photos['val'][0]
    other.label = made.classes.index('x')
    other.things[0] = other.things[0]._replace(name='x')


@change_photos
def keep_few(made, photo):
    """Each split has eleven photos, which are few already."""


def set_box(*box):
    @change_photos
    def set_first(made, photo):
        photo.things[0] = photo.things[0]._replace(box=box)

    return set_first


def set_option(name):
    """Return a change of all photos."""
    return change_photos(lambda made, photo: made.options.add(name))


@change_photos
def name_alike(made, photo):
    made.classes[:] = ['disc', 'Disc']
    for other in chain.from_iterable(made.photos.values()):
        other.things[1] = other.things[1]._replace(name='Disc')


def repeat_object(count):
    def repeat(content, stem):
        content['annotations'] += count * content['annotations'][:1]

    return edit_all(repeat)


def write_corners(content, stem):
    """Write all boxes as two corners, once. Their masks are right."""
    for entry in content['annotations']:
        x, y, width, height = entry.setdefault('before', entry['bbox'])
        entry['bbox'] = [x, y, x + width, y + height]


def write_fractions(image, label):
    """Write fractions into all XML files."""
    for file in label.parent.glob('*.xml'):
        text = file.read_text()
        file.write_text(re.sub(r'<xmax>(\d+)<', r'<xmax>\1.25<', text))


def append_line(image, label):
    label.write_text(f'{label.read_text()}no {image.stem}\n')


def write_pages(image, label):
    page = Image.open(image).convert('L')
    page.save(image, 'TIFF', save_all=True, append_images=[page])


def write_dark(image, label):
    Image.fromarray(np.full((HEIGHT, WIDTH), 900, np.uint16)).save(image, 'PNG')


def write_text(image, label):
    label.write_text('')


def unlink(image, label):
    image.unlink()


BOX = [8, 10, 32, 32]
# A mask with an inner polygon. It has the area of a ring.
RING = [[8, 10, 40, 10, 40, 42, 8, 42], [12, 14, 22, 14, 22, 24, 12, 24]]
OTHER_PLACE = [60, 40, 90, 40, 90, 70, 60, 70]  # a polygon unlike the boxes
SMALL_MAP, HIGH_MAP = np.zeros((5, 6)), np.full((HEIGHT, WIDTH), 9)
ALL_NUMBERS = np.resize(np.arange(256), (HEIGHT, WIDTH))
SPOTS = np.pad(np.ones((4, 4)), ((2, 66), (2, 90)))
SPOTS += SPOTS[::-1, ::-1]
WITH_VOID = np.zeros((HEIGHT, WIDTH))
WITH_VOID[2:20, 2:20] = 1
WITH_VOID[40:60, 40:60] = 255
TURNED = {'attributes': {'rotation': 90.0}}
COCO = ('coco', 'coco detect', 'coco config')
MASKED = ('coco', 'coco config')
BOXED = ('coco', 'coco detect', 'yolo', 'voc')
MAPS = ('maps semantic', 'maps segment')
CONFIGS = ('coco config', 'maps config', 'classes config')
ALL = (*BOXED, 'classes', *MAPS)
IMAGES = (*BOXED, 'classes', *CONFIGS)
EVERYWHERE = (*ALL, *CONFIGS)
# How each rule is broken by a photo, and where: in a folder of a format, read for a task, or in the
# files that a config reads.
ROWS = [
    (images.UNUSABLE_NAME, rename, ('classes', 'yolo', 'maps semantic')),
    (images.MISSING, unlink, (*COCO, 'maps config', 'classes config')),
    (images.UNREADABLE, write_page, IMAGES),
    (images.UNREADABLE, cut, EVERYWHERE),
    (images.UNREADABLE, write_strip, IMAGES),
    (images.BIT_DEPTH, write_dark, EVERYWHERE),
    (images.PAGES, write_pages, EVERYWHERE),
    (images.OTHER_SIZE, edit_coco('images', width=7), COCO),
    (images.OTHER_SIZE, edit_text(r'<width>\d+', '<width>7'), ('voc',)),
    (images.OTHER_SIZE, write_map(SMALL_MAP), ('maps config',)),
    (images.OTHER_SIZE, mark_only, ('coco config',)),
    (judge.ROTATED_BOXES, rotate, ('coco detect',)),
    (copies.REPEATED_IMAGES, repeat_photo, ALL),
    (copies.CONTRADICTIONS, contradict, ALL),
    (copies.SHARED_IMAGES, copy_to_val, ALL),
    (copies.SHARED_HELD_OUT, share_held_out, ALL),
    (copies.SHARED_CONTRADICTIONS, contradict_in_val, ALL),
    (copies.DIVIDED_FRAMES, rename_photos(name_frame), ALL),
    (copies.DIVIDED_TILES, rename_photos(name_tile), ALL),
    (copies.DIVIDED_COPIES, rename_photos(name_copy), ALL),
    (objects.REPEATED_OBJECTS, repeat_thing, BOXED),
    (objects.REPEATED_OBJECTS, repeat_object(1), ('coco config',)),
    (objects.NOT_FINITE, edit_coco('annotations', bbox=[1, 2, None, 4]), COCO),
    (objects.OUTSIDE, set_box(90, 60, 130, 90), BOXED),
    (objects.OUTSIDE, edit_coco('annotations', bbox=[90, 60, 30, 30]), COCO[2:]),
    (objects.NO_AREA, set_box(8, 10, 8.5, 42), BOXED),
    (objects.NO_AREA, edit_coco('annotations', area=0), COCO),
    (objects.NO_MASK, edit_coco('annotations', segmentation='x'), MASKED),
    (objects.FEW_POINTS, edit_coco('annotations', segmentation=[[1, 2, 3, 4]]), MASKED),
    (objects.DIFFERENT, edit_coco('annotations', segmentation=[OTHER_PLACE]), MASKED),
    (objects.RING, edit_coco('annotations', bbox=BOX, segmentation=RING, area=924), MASKED),
    (objects.FULL_IMAGES, repeat_object(120), ('coco config',)),
    (objects.CORNER_BOXES, edit_all(write_corners), COCO),
    (objects.TURNED_BOXES, edit_coco('annotations', segmentation=None, **TURNED), ('coco detect',)),
    (objects.TURNED_IN_CONFIG, edit_coco('annotations', **TURNED), COCO[2:]),
    (objects.BOX_MASKS, set_option('corners'), ('coco',)),
    (objects.BRUSH_MASKS, set_option('brush'), ('coco',)),
    (objects.TRACK_IDS, edit_coco('annotations', attributes={'track_id': 3}), ('coco',)),
    (objects.TRACK_IDS, edit_coco('annotations', track_id=3), ('coco',)),
    (
        objects.TRACK_IDS,
        edit_text(
            '</object>', '<attribute><name>track_id</name><value>3</value></attribute></object>'
        ),
        ('voc',),
    ),
    (
        objects.CROWD_MASKS,
        edit_coco('annotations', bbox=BOX, segmentation=encode_box(BOX), iscrowd=1),
        ('coco',),
    ),
    (coco.UNLISTED, edit_coco('annotations', image_id=-1), COCO),
    (coco.WRONG_FLAGS, edit_coco('annotations', iscrowd=2), COCO),
    (coco.WRONG_FLAGS, edit_coco('annotations', iscrowd=[0]), COCO[:2]),
    (coco.NOT_COCO, edit_all(lambda content, stem: content['images'][0].pop('width', 0)), COCO),
    (coco.DUPLICATE_IDS, edit_coco('images', id=3), COCO),
    (
        coco.OTHER_CATEGORIES,
        edit_all(lambda content, stem: content['categories'].reverse()),
        COCO[2:],
    ),
    (coco.NO_SIZE, edit_coco('images', height='9'), COCO[2:]),
    (coco.NO_OBJECTS, edit_all(lambda content, stem: content['annotations'].clear()), COCO),
    (images.NO_IMAGES, write_text, ('classes config',)),
    (images.OTHER_LABELS, edit_text(' 1\n', ' 7\n'), ('classes config',)),
    (images.OTHER_LABELS, write_map(HIGH_MAP), ('maps config', 'maps semantic')),
    (images.NO_MAP, write_text, ('maps config',)),
    (classes.CLASS_NAMES, name_alike, BOXED),
    (classes.MISSING_CLASSES, add_class, (*BOXED, 'maps semantic')),
    (classes.FEW_SCORED, keep_few, ALL),
    (parsed.WRONG_LINES, edit_text('^0', '7'), ('yolo',)),
    (parsed.UNUSED_LABELS, unlink, ('yolo',)),
    (parsed.ZERO_BASED, edit_text(r'<xmin>\d+', '<xmin>0'), ('voc',)),
    (parsed.FRACTIONS, write_fractions, ('voc',)),
    (parsed.WRONG_OBJECTS, edit_text('<name>disc', '<name>'), ('voc',)),
    (parsed.UNUSABLE_XML, unlink, ('voc',)),
    (parsed.UNUSABLE_XML, edit_text('<annotation>', ''), ('voc',)),
    (parsed.UNKNOWN_LINES, append_line, ('lists',)),
    (parsed.UNPAIRED, unlink, MAPS),
    (parsed.UNUSABLE_MAPS, write_map(SMALL_MAP), MAPS),
    (parsed.UNUSABLE_MAPS, write_page, MAPS),
    (parsed.UNUSABLE_MAPS, write_map(ALL_NUMBERS), ('maps segment',)),
    (parsed.UNUSABLE_MAPS, write_map(255 * (HIGH_MAP > 0)), ('maps segment',)),
    (parsed.SCATTERED, write_map(SPOTS), ('maps segment',)),
    (parsed.VOID_NUMBERS, write_map(WITH_VOID), ('maps segment',)),
]
# What messages say where it is not the rule's problem.
WORDS = {
    classes.CLASS_NAMES: ['equal but for case'],
    classes.MISSING_CLASSES: ['no training image has '],
    classes.FEW_SCORED: ['so its scores are rough'],
    coco.DUPLICATE_IDS: ['several images or categories with the id 3', coco.DUPLICATE_IDS.problem],
    images.OTHER_LABELS: ['have the values', images.OTHER_LABELS.problem],
}
# Why a rule is not for a split, or not in a config.
TRAINING_ONLY = {
    copies.SHARED_IMAGES: 'images stay in validation and test, and leave training',
    classes.MISSING_CLASSES: 'a class without training images is planted; the others: test_hold_out',
    coco.NO_OBJECTS: 'images without objects may be scored: all that is found is false',
}
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
    judge.ROTATED_BOXES: 'by their size before the rotation, boxes are outside: OUTSIDE is asked',
    objects.BOX_MASKS: 'a config sets what it trains',
    objects.BRUSH_MASKS: 'files are read as they are, not copied with another iscrowd',
    objects.CROWD_MASKS: 'a summary line counts ignored objects',
    images.UNUSABLE_NAME: 'a list that cannot have the name lacks the image: MISSING is asked',
    parsed.WRONG_LINES: 'no config reads YOLO',
    parsed.UNUSED_LABELS: 'no config reads YOLO',
    parsed.WRONG_OBJECTS: 'no config reads VOC',
    parsed.ZERO_BASED: 'no config reads VOC',
    parsed.UNUSABLE_XML: 'no config reads VOC',
    parsed.UNKNOWN_LINES: 'no config reads VOC',
    parsed.UNPAIRED: 'a config lists its pairs: MISSING is asked',
    parsed.UNUSABLE_MAPS: 'NO_MAP, OTHER_SIZE and OTHER_LABELS are asked',
    parsed.SCATTERED: 'no config reads maps of instances',
    parsed.VOID_NUMBERS: 'no config reads maps of instances',
    parsed.FRACTIONS: 'no config reads VOC',
    objects.TRACK_IDS: 'mmdet ignores keys that it does not know',
    objects.TURNED_BOXES: 'boxes are read as they are: TURNED_IN_CONFIG is asked',
}
CELLS = [(rule, change, column) for rule, change, columns in ROWS for column in columns]


def list_cells(is_config):
    """Return the cells with the number of photos that break the rule: 1, and 3 if a tenth counts."""
    cells = []
    for rule, change, column in CELLS:
        if ('config' in column) == is_config:
            cells.append((rule, change, column, 1))
            effect = rule.in_config if is_config else rule.in_folder
            if effect in (FolderEffect.LEFT_OUT, ConfigEffect.STOPS_IF_MANY):
                cells.append((rule, change, column, 3))
    return cells


def write_dataset(data_format, change, number, root, split='train'):
    """Write a dataset in which photos break a rule, or will: return these with their labels."""
    layout, label = FORMATS[data_format]
    label = label.replace('train', split)
    made = make_example('voc' if data_format == 'lists' else data_format, layout, NUMBERS)
    photos = made.photos[split][:number]
    for photo in photos if hasattr(change, 'is_before') else ():
        change(made, photo)
    made.write(root)
    return [(root / made.get_name(split, p), root / label.format(p.stem)) for p in photos]


def says(rule, text):
    return any(words in text for words in WORDS.get(rule, [rule.problem]))


@pytest.mark.parametrize('split', [*NUMBERS])
@pytest.mark.parametrize(('rule', 'change', 'column', 'number'), list_cells(is_config=False))
def test_a_broken_rule_has_its_effect_in_a_folder(rule, change, column, split, number, tmp_path):
    """One of the photos of a split breaks it, or three: more than a tenth of this split alone."""
    if split != 'train' and rule in TRAINING_ONLY:
        pytest.skip(TRAINING_ONLY[rule])
    data_format, task = [*column.split(), None][:2]
    for image, label in write_dataset(data_format, change, number, tmp_path, split):
        if not hasattr(change, 'is_before'):
            change(image, label)
    is_left_out = rule.in_folder == FolderEffect.LEFT_OUT
    if rule.in_folder == FolderEffect.REJECTED or (is_left_out and number == 3):
        with pytest.raises(UserError) as error:
            read_folder(tmp_path, task)
        assert says(rule, str(error.value))
        return
    dataset = read_folder(tmp_path, task)
    findings = [*find_missing_classes(dataset), *find_few_scored(dataset)]
    text = '\n'.join([str(dataset), *format_findings(findings)])
    assert says(rule, text)
    problems = re.findall(rf'(\d) problems? in \d+ {rule.unit}', text)
    assert problems in ([], ['1'], ['2'])
    assert bool(problems) == is_left_out
    if is_left_out:
        names = rf'\b{image.stem}(\\t)?\.(jpg|png|txt|xml)|no {image.stem}|json annotations\['
        assert re.search(names, text)


@pytest.mark.parametrize('split', [*NUMBERS])
@pytest.mark.parametrize(('rule', 'change', 'column', 'number'), list_cells(is_config=True))
def test_a_broken_rule_has_its_effect_in_a_config(rule, change, column, split, number, tmp_path):
    """Commands check the dataset that they read: training the first two, the others one."""
    if split != 'train' and rule in TRAINING_ONLY:
        pytest.skip(TRAINING_ONLY[rule])
    data_format, _ = column.split()
    root = tmp_path / 'data'
    files = write_dataset(data_format, change, number, root, split)
    task = 'semantic' if data_format == 'maps' else None
    path, _ = make_config(read_folder(root, task), tmp_path / 'run', size='mini')
    cfg = Config.fromfile(path)
    loader = f'{split}_dataloader'
    dataset = cfg[loader].dataset
    copy = Path(dataset.ann_file)
    for image, label in files:
        change(image, label if data_format == 'maps' else copy)
    if change is mark_only:
        dataset.pipeline.pop(1)
    report = check(cfg, [loader])
    effect = rule.in_config
    if split != 'train' and rule.in_scoring:
        effect = rule.in_scoring
    stops_run = effect == ConfigEffect.STOPS or (
        effect == ConfigEffect.STOPS_IF_MANY and number == 3
    )
    messages = report.format_messages(stops_run)
    assert says(
        rule, '\n'.join([*messages, *report.notes] if effect == ConfigEffect.NOTED else messages)
    )


def test_the_table_has_each_rule_in_folders_and_in_configs():
    """Class folders in another order, heads and evaluators are in the tests of checks."""
    places = {(rule, 'config' in column) for rule, _, column in CELLS}
    expected = {(rule, False) for rule in RULES if rule.in_folder}
    expected |= {(rule, True) for rule in RULES if rule.in_config}
    others = (images.OTHER_ORDER, images.OTHER_NUM_CLASSES, coco.OTHER_ANNOTATIONS)
    elsewhere = {(rule, True) for rule in others}
    assert expected - places == elsewhere
    assert {*FOLDER_ONLY} == {rule for rule in RULES if not rule.in_config}
