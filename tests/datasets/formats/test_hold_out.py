"""Classes are what a user means by folders, and each class is on both sides of a hold-out, for any data."""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mmgcvit.datasets.formats import DatasetInfo, Split, read_folder, split_validation
from mmgcvit.datasets.formats.advice import find_missing_classes
from mmgcvit.errors import UserError

from .made import CLASSES, write

NAMES = ('cat', 'dog', 'bird', 'fish')
# The types of annotations, and how many classes an image may have.
TYPES = {'boxes': 3, 'seg_maps': 3, 'classes': 1}


@st.composite
def draw_images(draw):
    """Draw the type of a dataset, and the classes of each image by its name, some with Roboflow's copies."""
    annotation_type = draw(st.sampled_from([*TYPES]))
    most = TYPES[annotation_type]
    classes = st.sets(st.sampled_from(NAMES), min_size=int(annotation_type == 'classes'), max_size=most)
    # A class of many images has some that have no other class.
    alone = [{name} for name in NAMES for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3, 12])))]
    found = [*alone, *draw(st.lists(classes, max_size=8))]
    found = draw(st.permutations(found))
    folder = draw(st.sampled_from(['', 'train/', 'a.rf.b/']))
    images = {}
    for number, names in enumerate(found):
        for copy in range(draw(st.sampled_from([1, 1, 1, 3]))):
            images[f'{folder}{min(names, default="none")}/{number}.rf.{copy}.jpg'] = names
    return annotation_type, images


def make_dataset(annotation_type, images, folder='/nowhere'):
    """Return a dataset with the classes of each image."""
    names, split = {name: index for index, name in enumerate(NAMES)}, Split(Path(folder), [])
    if annotation_type == 'classes':
        split.content = [(image, str(names[min(found)])) for image, found in images.items()]
    elif annotation_type == 'seg_maps':
        split.content = [(image, f'{image}.png') for image in images]
        split.map_labels = {f'{image}.png': {*map(names.get, found), 255} for image, found in images.items()}
    else:
        listed = [{'id': index, 'file_name': image} for index, image in enumerate(images)]
        objects = [
            {
                'image_id': image['id'],
                'category_id': names[name],
                'iscrowd': int(name not in images[image['file_name']]),
            }
            for image in listed
            for name in NAMES
        ]
        categories = [{'id': index, 'name': name} for name, index in names.items()]
        split.content = {'images': listed, 'annotations': objects, 'categories': categories}
    return DatasetInfo(Path(folder), '', (annotation_type,), NAMES, {'train': split})


def hold_out(*arguments):
    """Return the names of the held-out images, and the notes about missing classes."""
    dataset = make_dataset(*arguments)
    split_validation(dataset)
    train, val = ({*dataset.splits[split].image_names} for split in ('train', 'val'))
    assert (train | val, train & val) == ({*arguments[1]}, set())
    return val, '\n'.join(find_missing_classes(dataset))


@settings(max_examples=80)
@given(draw_images(), st.randoms())
def test_each_class_of_two_images_is_in_both_splits(drawn, shuffler):
    """Copies stay together; neither the order of files nor their folder's place matters; what is missing is said."""
    annotation_type, images = drawn
    groups = {
        name.split('.rf.')[-2]: found for name, found in ((n.replace('a.rf.b', ''), f) for n, f in images.items())
    }
    totals = Counter(name for found in groups.values() for name in found)
    assume(groups)
    if len(groups) == 1 or (totals and max(totals.values()) == 1):
        with pytest.raises(UserError, match=r'only one image to train on|no class that is in two images'):
            hold_out(*drawn)
        return
    val, notes = hold_out(*drawn)
    shuffled = dict(shuffler.sample([*images.items()], len(images)))
    assert hold_out(annotation_type, shuffled, '/else/where')[0] == val
    held_out = Counter(image.split('.rf.')[-2].split('/')[-1] for image in val)
    copies = Counter(image.split('.rf.')[-2].split('/')[-1] for image in images)
    assert all(copies[number] == count for number, count in held_out.items())
    counts = Counter(name for image in {i.split('.rf.')[-2]: i for i in val}.values() for name in images[image])
    alone = Counter(min(found) for found in groups.values() if len(found) == 1)
    for name in NAMES:
        if alone[name] > 1:
            assert 0 < counts[name] < totals[name]
        if annotation_type == 'classes':
            assert counts[name] == 0 if totals[name] < 2 else counts[name] >= max(1, round(totals[name] / 5))
            assert counts[name] <= max(totals[name] / 5 + 2, 1)
        if alone[name] == totals[name] == 1 and sum(alone.values()) > 1:
            assert counts[name] == 0
        said = [line for line in notes.splitlines() if name in line]
        assert bool(said) == (counts[name] in (0, totals[name]))


def test_new_images_change_few_of_those_held_out():
    first, more = (hold_out('classes', {f'{i}.jpg': {NAMES[i % 2]} for i in range(count)})[0] for count in (40, 44))
    assert (len(first), len(first - more) <= 3) == (8, True)


def write_images(root, folders, count=3):
    """Write a few different images into each folder."""
    pixels = np.random.default_rng(0)
    for folder in folders:
        for index in range(count):
            write(root / folder / f'{index}.png', pixels.integers(0, 256, (4, 4, 3), np.uint8))


# What predict, mistakes and a training write, of which some were killed.
OUTPUTS = {
    'predictions2': ('images.json', 'predictions.json', 'vis/a/0.png', 'labels/0.png'),
    'found': ('predictions.json', 'vis/0.png'),
    'predictions3': ('vis/cat/0.png', 'vis/dog/0.png'),
    'mistakes': ('mistakes.json', 'confusion.png', 'curves.png', 'worst/001_a.png'),
    'work_dirs/run': ('20260102_030405/vis_data/scalars.json', 'val_images/iter_2.png', 'made/train.json'),
}
# Folders of images of the classes a and b, and whether a user means these classes by them.
TREES = {
    '{label}': True,
    '{label}/of {label} {number}': True,
    '{label}/images': True,
    'session{number}/{label}': False,
    'fold{number}/cam{number}/{label}': False,
    'cam{number}/{label}/raw': False,
    '{label}/{number}': False,
    '{label}/train': False,
}


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([*TREES]),
    st.sets(st.sampled_from([*CLASSES, 'predictions', 'work_dirs', 'worst', 'vis', 'made']), min_size=2, max_size=4),
    st.sets(st.sampled_from([*OUTPUTS])),
    st.sampled_from(['', 'train', 'test']),
    st.randoms(),
)
def test_classes_are_the_folders_that_users_mean(tree, names, outputs, inside, shuffler):
    """Folders above the classes are refused, those below named, and what commands have written is left out."""
    names = {name.replace('/', '') for name in names} - {'train', 'test'}
    assume(len(names) > 1)
    splits = ['', *('train', 'val')][1:] if inside else ['']
    folders = {tree.format(label=name, number=number) for name in names for number in (1, 2)}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_images(root, [Path(split, name) for split in splits for name in folders])
        for output in outputs:
            place = root / splits[0] / shuffler.choice(['', *sorted(folders)])
            for file in OUTPUTS[output]:
                write(place / output / file, '{}' if file.endswith('.json') else np.zeros((4, 4, 3), np.uint8))
        if not TREES[tree]:
            with pytest.raises(UserError, match=r'are the folders .* Put the images'):
                read_folder(root)
            return
        dataset = read_folder(root)
        assert dataset.classes == tuple(sorted(names))
        assert {split: len(part.image_names) for split, part in dataset.splits.items()} == dict.fromkeys(
            splits if inside else ['train'], 3 * len(folders)
        )
        notes = '\n'.join(dataset.notes)
        assert ('commands of mmgcvit wrote them' in notes) == bool(outputs)
        assert ('folders in class folders are not classes' in notes) == ('/' in tree)


@pytest.mark.parametrize('split', ['val', 'test'])
def test_class_folders_of_another_split_only_are_refused(split, tmp_path):
    write_images(tmp_path, ['train/cat', 'train/dog', f'{split}/cat', f'{split}/cow'])
    with pytest.raises(UserError, match=rf'{split} has the class folders cow, but train has only cat, dog'):
        read_folder(tmp_path)
