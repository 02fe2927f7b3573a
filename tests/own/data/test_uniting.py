"""Several folders are read as one dataset: each by its layout, with classes united by name."""

import json
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmgcvit.errors import UserError
from mmgcvit.own.data.formats import read_folder, read_folders
from mmgcvit.own.data.label_maps import read_labels
from mmgcvit.own.data.records import ClassImage, ClassSplit, DatasetInfo
from mmgcvit.own.data.similar_names import MERGE, find_similar
from mmgcvit.own.data.uniting import unite, unite_classes
from mmgcvit.own.training.hold_out import split_validation

from ...conftest import picture_of
from .labelled import write_labels

SIZE = WIDTH, HEIGHT = 60, 40


def write_picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture_of(HEIGHT, WIDTH, seed=seed))


def write_coco(folder, names, classes, seed, split='train'):
    """Each picture has a box of each class, which is wider for later classes."""
    annotations = []
    for image_id, name in enumerate(names):
        write_picture(folder / split / f'{name}.png', seed + image_id)
        for label in range(len(classes)):
            side = 8 + 2 * label
            annotations.append(
                {
                    'id': len(annotations),
                    'image_id': image_id,
                    'category_id': label,
                    'bbox': [3, 2, side, 10],
                    'area': 10 * side,
                    'iscrowd': 0,
                }
            )
    content = {
        'images': [
            {'id': image_id, 'file_name': f'{name}.png', 'width': WIDTH, 'height': HEIGHT}
            for image_id, name in enumerate(names)
        ],
        'annotations': annotations,
        'categories': [{'id': label, 'name': name} for label, name in enumerate(classes)],
    }
    file = folder / 'annotations' / f'instances_{split}.json'
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def write_yolo(folder, names, classes, seed, split='train'):
    for number, name in enumerate(names):
        write_picture(folder / 'images' / split / f'{name}.png', seed + number)
        lines = []
        for label in range(len(classes)):
            side = 8 + 2 * label
            values = [(3 + side / 2) / WIDTH, 7 / HEIGHT, side / WIDTH, 10 / HEIGHT]
            lines.append(' '.join(map(str, [label, *values])))
        file = folder / 'labels' / split / f'{name}.txt'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('\n'.join(lines))
    file = folder / 'data.yaml'
    settings = yaml.safe_load(file.read_text()) if file.exists() else {'names': [*classes]}
    file.write_text(yaml.safe_dump({**settings, split: f'images/{split}'}))


def write_classes(folder, names, classes, seed, split='train'):
    for label, class_name in enumerate(classes):
        for number, name in enumerate(names):
            place = folder / split / class_name / f'{class_name} {name}.png'
            write_picture(place, seed + 50 * label + number)


def write_maps(folder, names, classes, seed, split='train'):
    """The upper rows of a map are of the first class, the next ones of the second, and so on."""
    for number, name in enumerate(names):
        write_picture(folder / 'images' / split / f'{name}.png', seed + number)
        rows = np.minimum(np.arange(HEIGHT) // 8, len(classes) - 1).astype(np.uint8)
        file = folder / 'masks' / split / f'{name}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(file), np.repeat(rows[:, None], WIDTH, 1))
    (folder / 'classes.txt').write_text('\n'.join(classes))


WRITERS = {'coco': write_coco, 'yolo': write_yolo, 'classes': write_classes, 'maps': write_maps}
TASKS = {'maps': 'semantic'}
CLASSES = ('ant', 'bee', 'cow', 'dove')


def describe_images(dataset, split_name):
    """Return what is said of each image of a split, by the bytes of the image."""
    split = dataset.splits[split_name]
    found = {}
    for image, path in zip(split.images, split.image_paths, strict=True):
        if dataset.object_splits:
            said = {(each.class_name, round(each.box.width, 3)) for each in image.objects}
        elif hasattr(image, 'label'):
            assert dataset.classes[image.label] == image.class_name
            said = image.class_name
        else:
            pixels = read_labels(split.image_folder / image.map_name, image.pixel_labels)
            said = [dataset.classes[label] for label in pixels[:, 0]]
        found[path.read_bytes()] = said
    return found


@settings(max_examples=12, deadline=None)
@given(
    kinds=st.sampled_from(
        [('coco', 'coco'), ('coco', 'yolo'), ('yolo', 'coco'), ('classes',) * 2, ('maps',) * 2]
    ),
    classes=st.lists(
        st.lists(st.sampled_from(CLASSES), min_size=2, max_size=4, unique=True),
        min_size=2,
        max_size=2,
    ),
    with_val=st.tuples(st.booleans(), st.booleans()),
)
def test_the_united_dataset_says_what_its_folders_say(kinds, classes, with_val):
    """Names of pictures are the same in both folders, and orders of classes differ."""
    with TemporaryDirectory() as name:
        folders = [Path(name, 'first/data'), Path(name, 'second')]
        for number, (folder, kind) in enumerate(zip(folders, kinds, strict=True)):
            WRITERS[kind](folder, ['oak', 'elm'], classes[number], 1000 * number)
            if with_val[number]:
                WRITERS[kind](folder, ['fir'], classes[number], 1000 * number + 500, 'val')
        task = TASKS.get(kinds[0])
        alone = [read_folder(folder, task) for folder in folders]
        united = read_folders(folders, task)
        assert united.classes == tuple(dict.fromkeys([*alone[0].classes, *alone[1].classes]))
        for split_name in ('train', 'val'):
            expected = {}
            for dataset in alone:
                if split_name in dataset.splits:
                    expected |= describe_images(dataset, split_name)
            assert (split_name in united.splits) == bool(expected)
            if expected:
                assert describe_images(united, split_name) == expected
                names = united.splits[split_name].image_names
                assert len(set(names)) == len(names)
    has_note = any(note.startswith('val is that of') for note in united.notes)
    assert has_note == (with_val[0] != with_val[1])


@pytest.mark.parametrize(
    ('first', 'second', 'expected'),
    [
        ('Cat', 'cat', True),
        ('cat', 'cats', True),
        ('box', 'boxes', True),
        ('berry', 'berries', True),
        ('red car', 'red_cars', True),
        ('Ka\u0308fer', 'K\u00e4fer', True),
        ('cat', 'car', False),
        ('1', '11', False),
        ('glass', 'grass', False),
    ],
)
def test_similar_names(first, second, expected):
    for names in ((first, second), (second, first)):
        assert find_similar(names) == [names] * expected


def test_similar_classes_are_asked_about(tmp_path):
    write_coco(tmp_path / 'a', ['oak', 'elm'], ['cat', 'dog'], 0)
    write_yolo(tmp_path / 'b', ['fir', 'ash'], ['dogs', 'cat'], 100)
    folders = [tmp_path / 'a', tmp_path / 'b']
    with pytest.raises(
        UserError, match=r'a has the class dog, and .*b has dogs. Are they one class'
    ):
        read_folders(folders)
    merged = read_folders(folders, similar_classes='merge')
    assert merged.classes == ('cat', 'dog')
    assert merged.splits['train'].count_classes() == {'cat': 4, 'dog': 4}
    assert any('dogs as dog' in note for note in merged.notes)
    kept = read_folders(folders, similar_classes='keep')
    assert kept.classes == ('cat', 'dog', 'dogs')


def test_a_folder_with_both_spellings_means_two_classes(tmp_path):
    write_coco(tmp_path / 'a', ['oak', 'elm'], ['dog'], 0)
    write_coco(tmp_path / 'b', ['fir', 'ash'], ['dog', 'dogs'], 100)
    assert read_folders([tmp_path / 'a', tmp_path / 'b']).classes == ('dog', 'dogs')


def test_two_classes_of_a_folder_do_not_become_one(tmp_path):
    """Both are similar to one of the other folder, whose name neither of them has."""
    write_coco(tmp_path / 'a', ['oak', 'elm'], ['Glass'], 0)
    write_coco(tmp_path / 'b', ['fir', 'ash'], ['glass', 'glasses'], 100)
    folders = [tmp_path / 'a', tmp_path / 'b']
    with pytest.raises(UserError, match=r'Glass .*but not glass and glasses: .*b has both'):
        read_folders(folders, similar_classes='merge')


SPELLINGS = ('box', 'boxes', 'Box', 'boxe', 'cow')  # box and boxe are both similar to boxes alone


@given(
    classes=st.lists(
        st.lists(st.sampled_from(SPELLINGS), min_size=1, max_size=3, unique=True),
        min_size=2,
        max_size=4,
    )
)
@example(classes=[['box'], ['boxes'], ['box', 'boxes']])
@example(classes=[['box'], ['boxes'], ['Box', 'boxes']])
@example(classes=[['box'], ['boxe'], ['boxes']])
def test_which_classes_are_one_does_not_depend_on_the_order_of_the_folders(classes):
    """Nor are two classes of a folder ever one."""
    found = set()
    for order in permutations(range(len(classes))):
        datasets = [
            DatasetInfo(Path(str(number)), 'made', ('boxes',), tuple(classes[number]), splits={})
            for number in order
        ]
        try:
            united = unite_classes(datasets, MERGE)
        except UserError:
            found.add('not clear')
            continue
        groups = {}
        for number, names in zip(order, united, strict=True):
            assert len(set(names.values())) == len(classes[number])
            for name, new in names.items():
                groups.setdefault(new, set()).add((number, name))
        found.add(frozenset(map(frozenset, groups.values())))
    assert len(found) == 1


def test_a_third_folder_with_both_spellings_means_two_classes_in_all(tmp_path):
    write_coco(tmp_path / 'a', ['oak', 'elm'], ['dog'], 0)
    write_coco(tmp_path / 'b', ['fir', 'ash'], ['dogs'], 100)
    write_coco(tmp_path / 'c', ['yew', 'fig'], ['dogs', 'dog'], 200)
    folders = [tmp_path / name for name in ('a', 'b', 'c')]
    for answer in (None, 'merge', 'keep'):
        united = read_folders(folders, similar_classes=answer)
        assert united.splits['train'].count_classes() == {'dog': 4, 'dogs': 4}


def test_classes_that_differ_only_in_case_cannot_be_kept(tmp_path):
    write_coco(tmp_path / 'a', ['oak', 'elm'], ['dog'], 0)
    write_coco(tmp_path / 'b', ['fir', 'ash'], ['Dog'], 100)
    folders = [tmp_path / 'a', tmp_path / 'b']
    with pytest.raises(UserError, match="'dog' and 'Dog', equal but for case"):
        read_folders(folders, similar_classes='keep')


def test_copies_in_two_folders_are_found(tmp_path):
    write_coco(tmp_path / 'a', ['oak', 'elm', 'fir'], ['cat'], 0)
    write_coco(tmp_path / 'a', ['bay'], ['cat'], 50, 'val')
    write_yolo(tmp_path / 'b', ['one', 'two'], ['cat'], 0)  # as oak and elm
    write_picture(tmp_path / 'b/images/train/two.png', 50)  # as bay
    dataset = read_folders([tmp_path / 'a', tmp_path / 'b'])
    names = dataset.splits['train'].image_names
    assert [Path(name).stem for name in names] == ['oak', 'elm', 'fir']
    notes = '\n'.join(dataset.notes)
    assert 'training images that are also in validation or test' in notes
    assert 'images that a split has more than once' in notes


def test_maps_of_two_folders_are_compared_by_their_classes(tmp_path):
    """The same numbers mean other classes in another folder."""
    write_maps(tmp_path / 'a', ['oak'], ['ant', 'bee'], 0)
    write_maps(tmp_path / 'b', ['one'], ['cow', 'dove'], 0)  # the same picture
    with pytest.raises(UserError, match='with other classes, boxes, masks or maps'):
        read_folders([tmp_path / 'a', tmp_path / 'b'], task='semantic')


def test_a_picture_that_somebody_labelled_elsewhere_replaces_the_uncorrected_one(tmp_path):
    folder = write_labels(tmp_path / 'labels', 'coco', ['oak.png', 'elm.png', 'fir.png'])
    own = tmp_path / 'own'
    write_coco(own, ['bay', 'ash'], ['cat', 'dog', 'owl'], 300)
    picture = own / 'train/bay.png'
    picture.write_bytes((folder / 'images/train/oak.png').read_bytes())
    content = json.loads((own / 'annotations/instances_train.json').read_text())
    content['images'][0] |= {'width': 80, 'height': 60}
    (own / 'annotations/instances_train.json').write_text(json.dumps(content))
    dataset = read_folders([folder, own], pseudo_labels=True)
    names = [Path(name).stem for name in dataset.splits['train'].image_names]
    assert names == ['elm', 'fir', 'bay', 'ash']
    assert 'there with labels of somebody too' in '\n'.join(dataset.notes)


def test_a_series_in_two_folders_is_held_out_as_one(tmp_path):
    """Frames 0 to 3 are in one folder, 4 to 7 in another one of another layout."""
    write_coco(tmp_path / 'a', [f'clip_{number}' for number in range(4)], ['cat'], 0)
    write_yolo(tmp_path / 'b', [f'clip_{number}' for number in range(4, 8)], ['cat'], 100)
    others = ['oak', 'elm', 'fir', 'ash', 'yew', 'fig', 'gum', 'box', 'tea', 'nut', 'rye', 'hop']
    write_yolo(tmp_path / 'b', others, ['cat'], 200)
    dataset = split_validation(read_folders([tmp_path / 'a', tmp_path / 'b']))
    frames = [name for name in dataset.splits['val'].image_names if 'clip' in name]
    assert len(frames) in (0, 8)


def test_folders_of_other_tasks_are_rejected(tmp_path):
    write_coco(tmp_path / 'boxes', ['oak', 'elm'], ['cat', 'dog'], 0)
    write_classes(tmp_path / 'classes', ['fir', 'ash'], ['cat', 'dog'], 100)
    with pytest.raises(UserError, match=r'boxes .COCO .JSON.., and .*classes on classes'):
        read_folders([tmp_path / 'boxes', tmp_path / 'classes'])
    write_labels(tmp_path / 'masks', 'coco', ['x.png', 'y.png', 'z.png'], with_masks=True)
    folders = [tmp_path / 'boxes', tmp_path / 'masks']
    for order in (folders, folders[::-1]):
        with pytest.raises(UserError, match='Add --task detect, which both have'):
            read_folders(order, pseudo_labels=True)
    united = read_folders(folders, 'detect', pseudo_labels=True)
    assert united.annotation_types == ('boxes',)


def test_labels_of_a_classifier_that_saw_one_class_are_read_beside_other_images(tmp_path):
    folder = write_labels(tmp_path / 'labels', 'class folders', ['oak.png'])
    with pytest.raises(UserError, match=r'has only the class cat\. A classifier needs two or more'):
        read_folder(folder, pseudo_labels=True)
    write_classes(tmp_path / 'own', ['elm', 'fir'], ['cat', 'dog'], 300)
    folders = [folder, tmp_path / 'own']
    for order in (folders, folders[::-1]):
        dataset = read_folders(order, pseudo_labels=True)
        assert dataset.splits['train'].count_classes() == {'cat': 3, 'dog': 2}
        assert len(dataset.models) == 1


def test_classes_without_names_cannot_be_united(tmp_path):
    for name in ('a', 'b'):
        write_maps(tmp_path / name, ['oak', 'elm'], ['cat', 'dog'], 100 * (name == 'b'))
    (tmp_path / 'b/classes.txt').unlink()
    with pytest.raises(UserError, match=r'the classes of .*b have no names'):
        read_folders([tmp_path / 'a', tmp_path / 'b'], 'semantic')


def test_names_that_look_made_up_are_names(tmp_path):
    for name, seed in (('a', 0), ('b', 100)):
        write_yolo(tmp_path / name, ['oak', 'elm'], ['class 0', 'class 1'], seed)
    united = read_folders([tmp_path / 'a', tmp_path / 'b'])
    assert united.classes == ('class 0', 'class 1')


def test_the_same_folder_twice_or_inside_another_is_rejected(tmp_path):
    write_coco(tmp_path / 'a', ['oak', 'elm'], ['cat', 'dog'], 0)
    write_coco(tmp_path / 'a/inside', ['fir'], ['cat', 'dog'], 100)
    (tmp_path / 'b').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'a')
    (tmp_path / 'deep').symlink_to(tmp_path / 'a/inside')
    for other in (tmp_path / 'a', tmp_path / 'a/../a', tmp_path / 'link'):
        for folders in ([tmp_path / 'a', other], [tmp_path / 'a', tmp_path / 'b', other]):
            with pytest.raises(UserError, match='are one folder'):
                read_folders(folders)
    for inner in (tmp_path / 'a/inside', tmp_path / 'deep'):
        for folders in ([tmp_path / 'a', inner], [inner, tmp_path / 'a']):
            with pytest.raises(UserError, match='would be read twice'):
                read_folders(folders)


def make_info(folder, split_names=('train',), **others):
    """Return a dataset of a class, with an image in each split."""
    splits = {
        name: ClassSplit(Path(folder), [ClassImage(f'{name}.png', 0, 'cat')])
        for name in split_names
    }
    return DatasetInfo(Path(folder), 'made', ('classes',), ('cat',), splits, **others)


def test_notes_models_and_digests_of_all_folders_are_kept():
    """A note that does not name its folder begins with it. A model is named once."""
    united = unite(
        [
            make_info(
                '/x/a',
                notes=['odd', 'none in /x/a'],
                models=['m', 'n'],
                digests={Path('/x/a/1'): '1'},
            ),
            make_info('/x/b', notes=['even'], models=['n', 'o'], digests={Path('/x/b/2'): '2'}),
        ]
    )
    assert {'/x/a: odd', 'none in /x/a', '/x/b: even'} <= {*united.notes}
    assert united.models == ['m', 'n', 'o']
    assert united.digests == {Path('/x/a/1'): '1', Path('/x/b/2'): '2'}
    assert united.folders == [Path('/x/a'), Path('/x/b')]
    assert united.format == 'made'


@pytest.mark.parametrize('split_name', ['val', 'test'])
def test_folders_without_a_split_that_others_have_are_named(split_name):
    both = ('train', split_name)
    note = f'{split_name} is that of /x/a: /x/b has none'
    for second, is_noted in ((('train',), True), (both, False)):
        united = unite([make_info('/x/a', both), make_info('/x/b', second)])
        assert (note in united.notes) == is_noted


def test_linked_folders_are_united(tmp_path):
    write_coco(tmp_path / 'far/a', ['oak', 'elm'], ['cat', 'dog'], 0)
    write_coco(tmp_path / 'near/b', ['fir'], ['cat', 'dog'], 100)
    (tmp_path / 'near/a').symlink_to(tmp_path / 'far/a')
    dataset = read_folders([tmp_path / 'near/a', tmp_path / 'near/b'])
    assert dataset.place == f'{tmp_path}/near/a and {tmp_path}/near/b'
    assert all(path.is_file() for path in dataset.splits['train'].image_paths)
