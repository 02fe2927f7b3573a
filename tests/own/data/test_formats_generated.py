"""For any format, layout and names: what is read, and what OpenMMLab's datasets load, is what was
written.
"""

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS

from mmgcvit.datasets.label_maps import read_segmentation_map
from mmgcvit.errors import UserError
from mmgcvit.host.config import enter_scope
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.data.rules.copies import CONTRADICTIONS, REPEATED_IMAGES, SHARED_IMAGES
from mmgcvit.own.training.config import make_config
from mmgcvit.own.training.hold_out import split_validation
from mmgcvit.own.training.templates import MINI

from .formats.made import QUICK, SPLIT_NAMES, UNORDERED, make_datasets, read_number


@contextmanager
def write_dataset(made, name='data'):
    """Write a dataset into a temporary folder: fixtures of pytest do not change between
    examples.
    """
    with tempfile.TemporaryDirectory() as folder:
        made.write(Path(folder) / name)
        yield Path(folder) / name


def describe(made, split):
    """Return the ground truth of a split's images, by their numbers."""
    if made.format in ('classes', 'maps'):
        return {photo.number: made.classes[photo.label] for photo in made.photos[split]}
    return {
        photo.number: sorted(
            {(t.name, *map(float, t.box), t.has_mask, t.is_crowd) for t in photo.things}
        )
        for photo in made.photos[split]
    }


def describe_read(dataset, split):
    """Return the same of a split as ``read_folder`` has read it."""
    part = dataset.splits[split]
    numbers = [read_number(path) for path in part.image_paths]
    if dataset.annotation_types[0] in ('classes', 'seg_maps'):
        return {number: name for number, (name,) in zip(numbers, part.list_classes(), strict=True)}
    objects = [obj for _, obj in part.iter_objects()]
    ids = [entry.id for entry in (*part.images, *part.categories, *objects)]
    assert all(0 <= value < 2**53 for value in ids)
    found = {image.id: [] for image in part.images}
    for image, obj in part.iter_objects():
        assert obj.id > 0, 'pycocotools takes a match with the object 0 for none'
        box = [round(side, 1) for side in obj.box.edges]
        row = obj.class_name, *box, obj.mask is not None, obj.is_ignored
        found[image.id].append(row)
    return {number: sorted(rows) for number, rows in zip(numbers, found.values(), strict=True)}


def describe_loaded(settings):
    """Return the same of a dataset of OpenMMLab, built from a config."""
    dataset = DATASETS.build(ConfigDict({**settings, 'pipeline': [], 'serialize_data': False}))
    classes = dataset.metainfo['classes']
    loaded = {}
    for sample in map(dataset.get_data_info, range(len(dataset))):
        if 'seg_map_path' in sample and 'instances' not in sample:
            value = classes[int(read_segmentation_map(Path(sample['seg_map_path'])).max())]
        elif 'gt_label' in sample:
            value = classes[int(sample['gt_label'])]
        else:
            value = sorted(
                (
                    classes[o['bbox_label']],
                    *(round(s, 1) for s in o['bbox']),
                    bool(o.get('mask')),
                    bool(o['ignore_flag']),
                )
                for o in sample['instances']
            )
        loaded[read_number(sample['img_path'])] = value
    return loaded


def check(made, cfg):
    """Compare the truth with what is loaded.

    Without a validation split, one is taken from training. Without a test split, the validation
    split is tested.
    """
    enter_scope(cfg)
    truth = {split: describe(made, split) for split in made.photos}
    loaded = {split: describe_loaded(cfg[f'{split}_dataloader'].dataset) for split in SPLIT_NAMES}
    # A test split without objects, except ignored ones, cannot be scored.
    photos = made.photos.get('test', ())
    is_scored = any(not thing.is_crowd for photo in photos for thing in photo.things)
    if not photos or not (is_scored or made.format in ('classes', 'maps')):
        truth['test'] = loaded['val']
    if 'val' not in truth:
        loaded['train'] |= loaded.pop('val')
    assert loaded == truth


def read_text(root, task):
    """Return what is said of a folder."""
    try:
        return str(read_folder(root, task))
    except UserError as error:  # with a few images, one is more than a tenth
        return str(error)


@pytest.mark.slow
@settings(QUICK, max_examples=90)
@given(make_datasets(), st.data())
def test_datasets_are_read_as_they_are_but_for_copies(made, data):
    """Training has no image of another split. Equal images of a split are read once."""
    source, target = (data.draw(st.sampled_from(sorted(made.photos))) for _ in range(2))
    photo = data.draw(st.sampled_from(made.photos[source]))
    has_objects = made.format not in ('classes', 'maps')
    differs = data.draw(st.booleans()) and (not has_objects or photo.things != [])
    things = [] if differs else 2 * photo.things
    label = (photo.label + differs) % len(made.classes)
    copy = replace(photo, stem='copy', things=things, label=label)
    link = data.draw(st.sampled_from([None, shutil.copy, os.link, os.symlink]))
    if link:
        made.photos[target].append(copy)
    with write_dataset(made) as root:
        if link:
            file = root / made.get_name(target, copy)
            file.unlink()
            link(root / made.get_name(source, photo), file)
        before = sorted(root.rglob('*'))
        if link and differs and source == target:
            assert CONTRADICTIONS.problem in read_text(root, made.task)
            return
        dataset = read_folder(root, made.task)
        has_order = made.format not in UNORDERED
        assert [*dataset.classes] == (made.classes if has_order else sorted(made.classes))
        assert sorted(root.rglob('*')) == before
        others = made.photos.keys() - {'train'}
        held_out = {photo.number for split in others for photo in made.photos[split]}
        num_left_out = 0
        crowds = []
        for split, photos in made.photos.items():
            truth = describe(made, split)
            if split == 'train':
                truth = {number: truth[number] for number in truth if number not in held_out}
            assert describe_read(dataset, split) == truth
            num_left_out += len(photos) - len(dataset.splits[split].image_names)
            if has_objects:
                crowds += [obj.is_ignored for _, obj in dataset.splits[split].iter_objects()]
        notes = '\n'.join(dataset.notes)
        named = [rule for rule in (SHARED_IMAGES, REPEATED_IMAGES) if rule.problem in notes]
        assert len(named) == num_left_out
        if has_objects:
            ignored = f', {sum(crowds)} ignored' if any(crowds) else ''
            assert f', {crowds.count(0)} objects{ignored}' in str(dataset)


# Folder names with code that a config must not run, and with line breaks that would end a comment.
FOLDERS = [
    'data',
    'x\nraise ValueError #',
    'x\r\x0craise ValueError',
    '\'"""',
    '\\',
    '# coding: x',
    '%s{}',
    '😀',
]


@pytest.mark.slow
@settings(QUICK, max_examples=30)
@given(make_datasets(), st.sampled_from(FOLDERS))
def test_written_configs_load_the_datasets(made, name):
    """No name of a class, folder or file is code in a config."""
    with write_dataset(made, name) as root:
        dataset = split_validation(read_folder(root, made.task))
        path, _ = make_config(dataset, root.parent / 'run', made.task, size=MINI, epochs=1)
        check(made, Config.fromfile(path))
