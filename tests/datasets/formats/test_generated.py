"""For any format, layout and names: what is read, and what OpenMMLab's datasets load, is what was written."""

import itertools
import json
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS

from mmgcvit.config import enter_scope
from mmgcvit.datasets.decoding import read_segmentation_map
from mmgcvit.datasets.formats import read_folder
from mmgcvit.datasets.formats.paths import find_split
from mmgcvit.datasets.own_data import check_config_texts, make_config
from mmgcvit.errors import UserError
from mmgcvit.tasks import MINI

from .made import make_datasets, read_number

QUICK = settings(max_examples=120, suppress_health_check=list(HealthCheck))
CONFIGS = settings(max_examples=30, suppress_health_check=list(HealthCheck))


@contextmanager
def write_dataset(made, name='data'):
    """Write a dataset into a temporary folder: fixtures of pytest do not change between examples."""
    with tempfile.TemporaryDirectory() as folder:
        made.write(Path(folder) / name)
        yield Path(folder) / name


def describe(made, split):
    """Return the ground truth of a split's images, by their numbers."""
    if made.format in ('classes', 'maps'):
        return {photo.number: made.classes[photo.label] for photo in made.photos[split]}
    return {
        photo.number: sorted((t.name, *map(float, t.box), t.has_mask) for t in photo.things)
        for photo in made.photos[split]
    }


def describe_read(dataset, split):
    """Return the same of a split as ``read_folder`` has read it."""
    part = dataset.splits[split]
    if dataset.annotation_types == ('classes',):
        return {read_number(part.image_folder / name): dataset.classes[int(label)] for name, label in part.content}
    if dataset.annotation_types == ('seg_maps',):
        labels = {name: int(read_segmentation_map(part.image_folder / path).max()) for name, path in part.content}
        return {read_number(part.image_folder / name): dataset.classes[label] for name, label in labels.items()}
    names = {category['id']: category['name'] for category in part.content['categories']}
    found = {image['id']: [] for image in part.content['images']}
    for obj in part.content['annotations']:
        left, top, width, height = obj['bbox']
        box = [round(side, 1) for side in (left, top, left + width, top + height)]
        found[obj['image_id']].append((names[obj['category_id']], *box, bool(obj.get('segmentation'))))
    return {read_number(part.image_folder / i['file_name']): sorted(found[i['id']]) for i in part.content['images']}


def describe_loaded(settings):
    """Return the same of a dataset of OpenMMLab, built from a config."""
    dataset = DATASETS.build(ConfigDict({**settings, 'pipeline': [], 'serialize_data': False}))
    classes, loaded = dataset.metainfo['classes'], {}
    for sample in map(dataset.get_data_info, range(len(dataset))):
        if 'seg_map_path' in sample and 'instances' not in sample:
            value = classes[int(read_segmentation_map(Path(sample['seg_map_path'])).max())]
        elif 'gt_label' in sample:
            value = classes[int(sample['gt_label'])]
        else:
            value = sorted(
                (classes[o['bbox_label']], *(round(side, 1) for side in o['bbox']), bool(o.get('mask')))
                for o in sample['instances']
            )
        loaded[read_number(sample['img_path'])] = value
    return loaded


def merge(parts):
    return {number: value for part in parts for number, value in part.items()}


def check(made, dataset, cfg):
    """Compare the truth with what is read and loaded. Without a validation split, one is taken from training."""
    groups = [['train'], ['val']] if 'val' in made.photos else [['train', 'val']]
    # A test split without objects cannot be scored.
    groups += (
        [['test']] if any(photo.things or not dataset.has_objects for photo in made.photos.get('test', ())) else []
    )
    enter_scope(cfg)
    for group in groups:
        written = [split for split in group if split in made.photos]
        truth = merge(describe(made, split) for split in written)
        loaders = [f'{split}_dataloader' for split in group]
        assert merge(describe_loaded(cfg[loader].dataset) for loader in loaders) == truth
        assert merge(describe_read(dataset, split) for split in group) == truth


@QUICK
@given(make_datasets())
def test_datasets_are_read_as_they_are(made):
    with write_dataset(made) as root:
        before = sorted(root.rglob('*'))
        dataset = read_folder(root)
        assert dataset.classes == made.expected_classes
        assert {name: len(split.image_names) for name, split in dataset.splits.items()} == {
            split: len(photos) for split, photos in made.photos.items()
        }
        assert sorted(root.rglob('*')) == before
        for split in made.photos:
            assert describe_read(dataset, split) == describe(made, split)


# Folder names with code that a config must not run, and with line breaks that would end a comment.
FOLDERS = ['data', 'x\nraise ValueError #', 'x\r\x0craise ValueError', '\'"""', '\\', '# coding: x', '%s{}', '😀']


@CONFIGS
@given(make_datasets(), st.sampled_from(FOLDERS))
def test_written_configs_load_the_datasets(made, name):
    """No name of a class, folder or file is code in a config."""
    with write_dataset(made, name) as root:
        dataset = read_folder(root)
        path, _ = make_config(dataset, root.parent / 'run', size=MINI, epochs=1)
        check(made, dataset, Config.fromfile(path))


@settings(QUICK, max_examples=30)
@given(make_datasets(min_train=12), st.sampled_from([b'', b'<html>404</html>', None]))
def test_unreadable_images_are_left_out_and_named(made, content):
    """The other images are read as if it were not there. A file that is missing is told if annotations name it."""
    with write_dataset(made) as root:
        photo = made.photos['train'].pop()
        for path in [path for path in root.rglob('*') if path.name.endswith(photo.name) and not path.is_symlink()]:
            if '@eaDir' not in path.parts and read_number(path) == photo.number:
                path.write_bytes(content) if isinstance(content, bytes) else path.unlink()
        dataset = read_folder(root)
        assert describe_read(dataset, 'train') == describe(made, 'train')
        if isinstance(content, bytes) or made.format in ('coco', 'voc'):
            assert re.search(r'1 problem in \d+ images?\. .* left out', dataset.notes[-1])


def change_all(pattern, old, new):
    """Return a function that replaces a text in all files of a pattern."""

    def change(root):
        for path in root.rglob(pattern):
            text = path.read_text()
            path.write_text(re.sub(old, lambda match: new, text, count=1))

    return change


def change_coco(name, index, **changes):
    """Return a function that changes an entry of each COCO file, or all entries if the index is None."""

    def change(root):
        for path in root.rglob('*.json'):
            content = json.loads(path.read_text(encoding='utf-8-sig'))
            for entry in content[name] if index is None else content[name][index : index + 1]:
                entry.update({key: value(content) if callable(value) else value for key, value in changes.items()})
            path.write_text(json.dumps(content))

    return change


def add_split(root):
    """Add a second folder of training images, of another name."""
    folder = next(path for path in root.iterdir() if find_split(Path(path.name)) == 'train')
    shutil.copytree(folder, root / ('training' if folder.name != 'training' else 'train'), symlinks=True)


def name_like_another(root):
    folder = next(path for path in root.glob('*/*') if path.is_dir() and find_split(Path(path.parent.name)) == 'train')
    shutil.copytree(folder, folder.with_name(f'{folder.name} '), symlinks=True)


ENTITIES = ''.join(f'<!ENTITY {name} "{10 * f"&{before};"}">' for before, name in itertools.pairwise('abcdefghi'))
BOMB = f'<!DOCTYPE a [<!ENTITY a "{10 * "a"}">{ENTITIES}]><annotation><object><name>&i;</name></object></annotation>'
# (format, change that makes a dataset invalid, part of the message)
INVALID = [
    ('yolo', change_all('data.yaml', '^', 'a: &a [1]\nb: [*a]\n'), 'aliases or deep nesting'),
    ('yolo', change_all('data.yaml', '^', 'a: ' + 10000 * '[' + '\n'), 'aliases or deep nesting'),
    ('yolo', change_all('data.yaml', '^', 'nc: 1\n'), 'a key occurs twice'),
    ('yolo', change_all('data.yaml', r'(?s)names:.*nc: \d+\n', 'names: [Car, car]\n'), 'equal but for case'),
    ('yolo', change_all('data.yaml', r'(?s)names:.*nc: \d+\n', "names: ['', b]\n"), "classes ''"),
    ('yolo', change_all('data.yaml', '(?s).*', '- train'), 'has no keys'),
    ('yolo', change_all('*.txt', r'^\d+ \S+', '0 nan'), 'at most a tenth|No image|shares'),
    ('yolo', change_all('data.yaml', '^', 'kpt_shape: [17, 3]\n'), r'keypoints \(kpt_shape\) are not supported'),
    ('yolo', change_all('*.txt', '(?s)^.*$', '0 .9 .9 .8 .8'), 'at most a tenth|No image|exist|no images'),
    ('voc', change_all('*.xml', '</xmax>', 'e999</xmax>'), 'at most a tenth|No image|no XML file'),
    (
        'voc',
        change_all('*.xml', '<width>.*</height>', '<width>7</width><height>9</height>'),
        'is for an image of 7 x 9',
    ),
    ('voc', change_all('*.xml', '<difficult>[^<]*', '<difficult>maybe'), "'maybe'|no XML file"),
    ('voc', change_all('*.xml', '(?s).*', BOMB), 'amplification'),
    ('voc', change_all('*.xml', '(?s).*', 20_000 * '<annotation>'), 'cannot be parsed as XML'),
    (
        'coco',
        change_all('*.json', '"file_name": "', '"file_name": "../../../../../'),
        'outside of|has none of the images',
    ),
    ('coco', change_all('*.json', '"id": [^,]+,', '"id": [1],'), "in COCO's format|as integers"),
    (
        'coco',
        change_coco('images', 1, file_name=lambda content: content['images'][0]['file_name']),
        'images with the same file_name',
    ),
    ('coco', change_coco('images', None, file_name=5000 * 'x'), 'File name too long|the same file_name'),
    ('coco', change_coco('annotations', None, image_id='1'), "the id '1'. Write the ids of images .* as integers"),
    ('coco', change_coco('annotations', None, image_id=-1), 'at most a tenth'),
    ('coco', change_coco('annotations', None, category_id=-1), 'at most a tenth'),
    ('coco', change_coco('annotations', None, area=0), 'boxes have no area'),
    ('coco', change_coco('annotations', None, bbox=[0.1, 0.1, 0.5, 0.5]), 'boxes have no area'),
    ('classes', add_split, 'classes or splits'),
    ('classes', name_like_another, 'equal but for case|has the class folders'),
]


@pytest.mark.parametrize(('data_format', 'change', 'words'), INVALID)
def test_invalid_files_are_rejected_in_one_sentence(data_format, change, words):
    @settings(QUICK, max_examples=5)
    @given(make_datasets((data_format,)))
    def check_rejected(made):
        made.options['clutter'] = False
        with write_dataset(made) as root:
            change(root)
            with pytest.raises(UserError, match=words):
                read_folder(root)

    check_rejected()


@pytest.mark.parametrize('text', ['{{ fileDirname }}', 'a{{$HOME:x}}', '\udcff'])
def test_names_that_mmengine_replaces_are_rejected(text):
    with pytest.raises(UserError, match='valid UTF-8 without two opening braces'):
        check_config_texts('cat', text)
